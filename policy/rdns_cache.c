// rdns_cache.c: a hash table with chains, and two orders of use.  See
// rdns_cache.h.
//
// An entry is one block of memory: the links, the names, their bytes.  It is in
// three lists: the chain of its bucket, the order of use of all entries, and the
// order of use of its network's.  What is over stays until it is replaced or its
// turn comes to make room: finding the dead would cost more than they do, and a
// failure that is over tells the next one how long to last.
//
// Networks have no entries of their own but share a table of counts by their
// hash.  Two that meet there share one quota; there are so many places that
// only a network near its quota could notice.
#include "policy/rdns_cache.h"

#include <stdlib.h>

#include "policy/list.h"
#include "proxy/base/die.h"

enum {
	BYTES_PER_BUCKET = 256, // nearly two entries: one with a single name takes some 170
	BUCKETS_LEAST = 16,
	BUCKETS_PER_NETWORK = 4,
	NETWORK_SHARE = 16, // a network gets one in so many bytes
	AGEING_SHARE = 10,  // of a life is its last part
	NEGATIVE_MAX_MS = 60 * 60 * 1000,
	FAILURE_MS = 5 * 1000,
	FAILURE_MAX_MS = 30 * 1000,
};

struct network {
	struct list used; // longest unused first
	size_t bytes;
};

struct entry {
	struct entry *chain;
	struct list used;
	struct list used_in_network;
	struct network *network;
	uint64_t expires_at;
	uint64_t life_ms;
	size_t bytes; // what malloc takes for it
	struct rdns_key key;
	enum rdns_status status;
	bool ageing_told;
	size_t num_names;
	struct rdns_name names[]; // then their bytes
};

struct rdns_cache {
	struct rdns_cache_options options;
	struct list used; // longest unused first
	struct entry **buckets;
	struct network *networks;
	size_t num_buckets; // a power of two
	size_t num_networks;
	size_t bytes;
};

// As glibc rounds it: a word in front, multiples of two words.
static size_t block_size(size_t size)
{
	return (size + sizeof(size_t) + 15) & ~(size_t)15;
}

// The largest power of two that leaves most of the bound to entries.
static size_t count_buckets(size_t bytes)
{
	size_t num = BUCKETS_LEAST;
	while (num <= bytes / BYTES_PER_BUCKET / 2)
		num *= 2;
	return num;
}

struct rdns_cache *rdns_cache_new(const struct rdns_cache_options *options)
{
	struct rdns_cache *cache = xcalloc(1, sizeof(*cache));
	cache->options = *options;
	if (cache->options.max_ttl_ms < options->min_ttl_ms)
		cache->options.max_ttl_ms = options->min_ttl_ms;
	cache->num_buckets = count_buckets(options->bytes);
	cache->num_networks = cache->num_buckets / BUCKETS_PER_NETWORK;
	cache->buckets = xcalloc(cache->num_buckets, sizeof(struct entry *));
	cache->networks = xcalloc(cache->num_networks, sizeof(struct network));
	cache->bytes = block_size(sizeof(*cache)) +
	               block_size(cache->num_buckets * sizeof(struct entry *)) +
	               block_size(cache->num_networks * sizeof(struct network));
	list_init(&cache->used);
	for (size_t i = 0; i < cache->num_networks; i++)
		list_init(&cache->networks[i].used);
	return cache;
}

static uint64_t hash(const struct rdns_cache *cache, uint64_t kind, struct str bytes)
{
	return key_of(&cache->options.secret, kind, bytes, STR("")) >> 1;
}

static struct entry **bucket_of(const struct rdns_cache *cache, const struct rdns_key *key)
{
	struct str bytes = {(const char *)key->at, sizeof(key->at)};
	return &cache->buckets[hash(cache, 'a', bytes) & (cache->num_buckets - 1)];
}

static struct network *network_of(const struct rdns_cache *cache, const struct rdns_key *key)
{
	uint64_t place = hash(cache, 'n', rdns_network(key)) & (cache->num_networks - 1);
	return &cache->networks[place];
}

// Where the key's entry hangs in the chain; where one would, when there is none.
static struct entry **find_place(const struct rdns_cache *cache, const struct rdns_key *key)
{
	struct entry **place = bucket_of(cache, key);
	while (*place && memcmp(&(*place)->key, key, sizeof(*key)) != 0)
		place = &(*place)->chain;
	return place;
}

static void take_out(struct rdns_cache *cache, struct entry **place)
{
	struct entry *entry = *place;
	*place = entry->chain;
	list_remove(&entry->used);
	list_remove(&entry->used_in_network);
	cache->bytes -= entry->bytes;
	entry->network->bytes -= entry->bytes;
	free(entry);
}

void rdns_cache_free(struct rdns_cache **cache)
{
	if (!*cache)
		return;
	while (!list_is_empty(&(*cache)->used))
		free(LIST_OWNER(list_take_first(&(*cache)->used), struct entry, used));
	free((*cache)->buckets);
	free((*cache)->networks);
	free(*cache);
	*cache = NULL;
}

static void mark_used(struct rdns_cache *cache, struct entry *entry)
{
	list_move_last(&cache->used, &entry->used);
	list_move_last(&entry->network->used, &entry->used_in_network);
}

static bool is_failure(enum rdns_status status)
{
	return status != RDNS_OK && status != RDNS_NXDOMAIN;
}

static bool is_ageing(const struct entry *entry, uint64_t now)
{
	return !is_failure(entry->status) &&
	       entry->expires_at - now < entry->life_ms / AGEING_SHARE;
}

enum rdns_hit rdns_cache_find(struct rdns_cache *cache, const struct rdns_key *key, uint64_t now,
    struct rdns_answer *out_answer)
{
	struct entry *entry = *find_place(cache, key);
	if (!entry || entry->expires_at <= now)
		return RDNS_MISS;
	mark_used(cache, entry);
	*out_answer = (struct rdns_answer){entry->status, entry->names, entry->num_names};
	if (entry->ageing_told || !is_ageing(entry, now))
		return RDNS_HIT;
	entry->ageing_told = true;
	return RDNS_HIT_AGEING;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	most = most > least ? most : least;
	return value < least ? least : value > most ? most : value;
}

// `before` is what the cache had; NULL: nothing.
static uint64_t life_of(const struct rdns_cache *cache, const struct entry *before,
    enum rdns_status status, uint32_t ttl_s)
{
	const struct rdns_cache_options *options = &cache->options;
	uint64_t ttl_ms = (uint64_t)ttl_s * 1000;
	switch (status) {
	case RDNS_OK: return clamp(ttl_ms, options->min_ttl_ms, options->max_ttl_ms);
	case RDNS_NXDOMAIN: return clamp(ttl_ms, options->min_ttl_ms, NEGATIVE_MAX_MS);
	case RDNS_SERVFAIL:
	case RDNS_TIMEOUT:
		if (!before || !is_failure(before->status))
			return FAILURE_MS;
		return clamp(2 * before->life_ms, FAILURE_MS, FAILURE_MAX_MS);
	case RDNS_UNAVAILABLE:
	case RDNS_STATUSES: break;
	}
	return 0;
}

static size_t entry_size(const struct rdns_answer *answer)
{
	size_t size = sizeof(struct entry);
	for (size_t i = 0; i < answer->num_names; i++)
		size += sizeof(struct rdns_name) + answer->names[i].name.len;
	return size;
}

static struct entry *new_entry(
    struct network *network, const struct rdns_key *key, const struct rdns_answer *answer)
{
	size_t size = entry_size(answer);
	struct entry *entry = xcalloc(1, size);
	char *at = (char *)(entry->names + answer->num_names);
	entry->network = network;
	entry->bytes = block_size(size);
	entry->key = *key;
	entry->status = answer->status;
	entry->num_names = answer->num_names;
	for (size_t i = 0; i < answer->num_names; i++) {
		struct str name = answer->names[i].name;
		entry->names[i] = answer->names[i];
		entry->names[i].name.at = memcpy(at, name.at, name.len);
		at += name.len;
	}
	return entry;
}

static void drop_oldest(struct rdns_cache *cache, struct entry *oldest)
{
	struct entry **place = bucket_of(cache, &oldest->key);
	while (*place != oldest)
		place = &(*place)->chain;
	take_out(cache, place);
}

// False when there will never be room for that many bytes.
static bool make_room(struct rdns_cache *cache, struct network *network, size_t bytes)
{
	size_t quota = cache->options.bytes / NETWORK_SHARE;
	while (network->bytes + bytes > quota && !list_is_empty(&network->used))
		drop_oldest(cache, LIST_OWNER(network->used.next, struct entry, used_in_network));
	while (cache->bytes + bytes > cache->options.bytes && !list_is_empty(&cache->used))
		drop_oldest(cache, LIST_OWNER(cache->used.next, struct entry, used));
	return bytes <= quota && cache->bytes + bytes <= cache->options.bytes;
}

static void add(struct rdns_cache *cache, struct entry *entry)
{
	struct entry **bucket = bucket_of(cache, &entry->key);
	entry->chain = *bucket;
	*bucket = entry;
	list_add_last(&cache->used, &entry->used);
	list_add_last(&entry->network->used, &entry->used_in_network);
	cache->bytes += entry->bytes;
	entry->network->bytes += entry->bytes;
}

void rdns_cache_put(struct rdns_cache *cache, const struct rdns_key *key,
    const struct rdns_answer *answer, uint32_t ttl_s, uint64_t now)
{
	struct entry **place = find_place(cache, key);
	bool holds = *place && (*place)->expires_at > now && !is_failure((*place)->status);
	uint64_t life_ms = life_of(cache, *place, answer->status, ttl_s);
	if (!life_ms || (holds && is_failure(answer->status)))
		return;
	if (*place)
		take_out(cache, place);
	struct network *network = network_of(cache, key);
	if (!make_room(cache, network, block_size(entry_size(answer))))
		return;
	struct entry *entry = new_entry(network, key, answer);
	entry->life_ms = life_ms;
	entry->expires_at = now + life_ms;
	add(cache, entry);
}

size_t rdns_cache_bytes(const struct rdns_cache *cache)
{
	return cache->bytes;
}
