// host_answers.c: the shared pages, and how an answer is known to be whole.  See
// host_answers.h.
//
// An answer is many words.  Beside them stands a keyed hash of them and of the
// name, and an answer whose hash is another is none: it is just being written,
// or two wrote at once, or somebody died on the way.  A reader looks a few times
// and then does without; a writer reads back what it wrote, so of several the
// last one puts right what they mixed.
//
// Not taken: a sequence number that is odd while an answer is written.  Who dies
// then leaves it odd, and who takes over from the dead cannot tell them from
// the slow, whose words get mixed with the new ones under an even number.
//
// The keys have a table of their own, which is small enough to be searched from
// end to end: names are looked for at a worker's start and once per answer.
#include "policy/host_answers.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "policy/mapping.h"
#include "proxy/base/die.h"

enum { ENTRIES = 2048, TRIES = 8, WORDS = sizeof(struct host_answer) / sizeof(uint64_t) };

// The last digit is the layout's version.
static const uint64_t magic = 0x706f70686f737401;

struct entry {
	_Atomic uint64_t hash;
	_Atomic uint64_t words[WORDS];
};

struct pages {
	struct mapping_head head;
	alignas(64) _Atomic uint64_t keys[ENTRIES]; // 0: free
	_Atomic uint64_t written[ENTRIES];          // when, in ms; 0: never
	struct entry entries[ENTRIES];
};

struct host_answers {
	struct mapping mapping;
	struct pages *pages; // there
};

// An answer as it is kept.
union image {
	struct host_answer answer;
	uint64_t words[WORDS];
};

_Static_assert(sizeof(union image) == WORDS * sizeof(uint64_t), "an answer is whole words");

// ---- the pages ----------------------------------------------------------

static struct host_answers *answers_of(const struct mapping *mapping)
{
	struct host_answers *answers = xcalloc(1, sizeof(*answers));
	*answers = (struct host_answers){*mapping, (void *)mapping->at};
	return answers;
}

struct host_answers *host_answers_new(void)
{
	struct mapping mapping;
	if (!mapping_new(&mapping, "popgate-hosts", magic, sizeof(struct pages)))
		return NULL;
	return answers_of(&mapping);
}

struct host_answers *host_answers_open(int fd)
{
	struct mapping mapping;
	return mapping_open(&mapping, fd, magic, sizeof(struct pages)) ? answers_of(&mapping)
	                                                               : NULL;
}

int host_answers_fd(const struct host_answers *answers)
{
	return answers->mapping.fd;
}

void host_answers_free(struct host_answers **answers)
{
	if (!*answers)
		return;
	mapping_done(&(*answers)->mapping);
	free(*answers);
	*answers = NULL;
}

// ---- entries ------------------------------------------------------------

static uint64_t key_for(const struct pages *pages, struct str name, enum dns_type type)
{
	return key_of(&pages->head.secret, (uint64_t)type, name, STR(""));
}

static uint64_t hash_of(const struct pages *pages, uint64_t key, const union image *image)
{
	struct str bytes = {(const char *)image, sizeof(*image)};
	return key_further(&pages->head.secret, 'h', key, bytes);
}

// ENTRIES when it has none.
static size_t find(const struct pages *pages, uint64_t key)
{
	size_t i = 0;
	while (i < ENTRIES && atomic_load(&pages->keys[i]) != key)
		i++;
	return i;
}

static size_t find_oldest(const struct pages *pages)
{
	size_t oldest = 0;
	for (size_t i = 1; i < ENTRIES; i++)
		if (atomic_load(&pages->written[i]) < atomic_load(&pages->written[oldest]))
			oldest = i;
	return oldest;
}

// The key's entry; ENTRIES when another writer was quicker.
static size_t claim(struct pages *pages, uint64_t key)
{
	size_t i = find(pages, key);
	if (i < ENTRIES)
		return i;
	i = find_oldest(pages);
	uint64_t seen = atomic_load(&pages->keys[i]);
	return atomic_compare_exchange_strong(&pages->keys[i], &seen, key) ? i : ENTRIES;
}

static bool read_entry(const struct pages *pages, size_t i, uint64_t key, union image *out)
{
	const struct entry *entry = &pages->entries[i];
	uint64_t hash = atomic_load(&entry->hash);
	for (size_t w = 0; w < WORDS; w++)
		out->words[w] = atomic_load(&entry->words[w]);
	return hash == hash_of(pages, key, out) && out->answer.num <= DNS_ADDRS_MAX;
}

static void write_entry(struct pages *pages, size_t i, uint64_t key, const union image *image)
{
	struct entry *entry = &pages->entries[i];
	atomic_store(&entry->hash, hash_of(pages, key, image));
	for (size_t w = 0; w < WORDS; w++)
		atomic_store(&entry->words[w], image->words[w]);
}

// ---- what hosts.c calls -------------------------------------------------

bool host_answers_get(const struct host_answers *answers, struct str name, enum dns_type type,
    struct host_answer *out_answer)
{
	const struct pages *pages = answers->pages;
	uint64_t key = key_for(pages, name, type);
	size_t i = find(pages, key);
	union image image;
	for (int tries = i < ENTRIES ? TRIES : 0; tries; tries--)
		if (read_entry(pages, i, key, &image)) {
			*out_answer = image.answer;
			return true;
		}
	return false;
}

void host_answers_put(struct host_answers *answers, struct str name, enum dns_type type,
    const struct host_answer *answer, uint64_t now_ms)
{
	struct pages *pages = answers->pages;
	uint64_t key = key_for(pages, name, type);
	union image image = {.answer = {.num = answer->num}}, found;
	BUG_ON(answer->num > DNS_ADDRS_MAX);
	memcpy(image.answer.addrs, answer->addrs, answer->num * sizeof(answer->addrs[0]));
	for (int tries = TRIES; tries; tries--) {
		size_t i = claim(pages, key);
		if (i == ENTRIES)
			continue;
		atomic_store(&pages->written[i], now_ms);
		write_entry(pages, i, key, &image);
		if (read_entry(pages, i, key, &found) && memcmp(&found, &image, sizeof(image)) == 0)
			return;
	}
}
