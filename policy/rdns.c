// rdns.c: who waits for which lookup.  See rdns.h.
//
//     query --- cache --- a lookup of that address under way --- a new one
//
// A lookup waits for its turn to ask, though mostly for no time; a turn is free
// again when it ends.  All have the same deadline, so the one that began first is
// due first, and one timer serves them.  Those that wait for their turn when the
// name servers are found gone are due at once.
#include "policy/rdns.h"

#include <stdlib.h>
#include <sys/random.h>

#include "policy/breaker.h"
#include "policy/rdns_cache.h"
#include "policy/rdns_lookup.h"
#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/net/timer.h"

enum { BUCKETS = 4096 };

// Lives while it has a place.
struct network {
	struct network *next; // in its bucket
	uint64_t key;
	unsigned places;
	unsigned turns;
};

struct lookup {
	struct rdns_lookup op;
	struct rdns *rdns;
	struct lookup *next; // in its bucket
	struct rdns_key key;
	struct network *network;
	unsigned pass; // the breaker's
	bool has_turn;
	uint64_t due;
	struct list by_age;
	struct list waiting; // with those that have no turn yet
	struct list queries;
};

struct rdns {
	struct net *net;
	struct resolver *resolver;
	uint64_t deadline_ms;
	struct key_secret secret;
	struct rdns_cache *cache;
	struct breaker breaker;
	struct timer timer;
	struct list starting; // queries that the loop has yet to come to
	struct list lookups;  // oldest first
	struct list waiting;  // lookups for their turn
	size_t num_turns;
	size_t num_places;
	struct lookup *buckets[BUCKETS];
	struct network *networks[BUCKETS];
};

// ---- where they are found -----------------------------------------------

static struct lookup **bucket_of(struct rdns *rdns, const struct rdns_key *key)
{
	struct str bytes = {(const char *)key, sizeof(*key)};
	return &rdns->buckets[key_of(&rdns->secret, 'a', bytes, STR("")) % BUCKETS];
}

// NULL when the address is not being looked up.
static struct lookup *find_lookup(struct rdns *rdns, const struct rdns_key *key)
{
	struct lookup *lookup = *bucket_of(rdns, key);
	while (lookup && memcmp(&lookup->key, key, sizeof(*key)) != 0)
		lookup = lookup->next;
	return lookup;
}

// NULL when it has no place.
static struct network *find_network(struct rdns *rdns, uint64_t key)
{
	struct network *network = rdns->networks[key % BUCKETS];
	while (network && network->key != key)
		network = network->next;
	return network;
}

static struct network *add_network(struct rdns *rdns, uint64_t key)
{
	struct network *network = xcalloc(1, sizeof(*network));
	network->key = key;
	network->next = rdns->networks[key % BUCKETS];
	rdns->networks[key % BUCKETS] = network;
	return network;
}

static void remove_network(struct rdns *rdns, struct network *network)
{
	struct network **at = &rdns->networks[network->key % BUCKETS];
	while (*at != network)
		at = &(*at)->next;
	*at = network->next;
	free(network);
}

static void put_in(struct lookup *lookup)
{
	struct rdns *rdns = lookup->rdns;
	struct lookup **bucket = bucket_of(rdns, &lookup->key);
	lookup->next = *bucket;
	*bucket = lookup;
	rdns->num_places++;
	lookup->network->places++;
	list_add_last(&rdns->lookups, &lookup->by_age);
}

static void take_out(struct lookup *lookup)
{
	struct rdns *rdns = lookup->rdns;
	struct lookup **at = bucket_of(rdns, &lookup->key);
	while (*at != lookup)
		at = &(*at)->next;
	*at = lookup->next;
	rdns->num_places--;
	rdns->num_turns -= lookup->has_turn;
	lookup->network->turns -= lookup->has_turn;
	if (!--lookup->network->places)
		remove_network(rdns, lookup->network);
	list_remove(&lookup->waiting);
	list_remove(&lookup->by_age);
}

// ---- lookups that end ---------------------------------------------------

static void set_timer(struct rdns *rdns)
{
	uint64_t now = net_now(rdns->net);
	if (list_is_empty(&rdns->lookups)) {
		timer_clear(&rdns->timer);
		return;
	}
	struct lookup *first = LIST_OWNER(rdns->lookups.next, struct lookup, by_age);
	timer_set(&rdns->timer, first->due > now ? first->due - now : 0);
}

static bool may_ask(const struct rdns *rdns, const struct network *network)
{
	bool are_few = rdns->num_turns >= RDNS_TURNS / 2;
	return rdns->num_turns < RDNS_TURNS &&
	       network->turns < (are_few ? RDNS_TURNS_SMALL_SHARE : RDNS_TURNS_SHARE);
}

static void ask_or_wait(struct lookup *lookup)
{
	struct rdns *rdns = lookup->rdns;
	if (!may_ask(rdns, lookup->network)) {
		list_add_last(&rdns->waiting, &lookup->waiting);
		return;
	}
	lookup->has_turn = true;
	lookup->network->turns++;
	rdns->num_turns++;
	rdns_lookup_start(&lookup->op);
}

// Turns are free: for those that waited longest, unless their network has enough.
static void pass_turns_on(struct rdns *rdns)
{
	struct list *next, *at = rdns->waiting.next;
	for (; at != &rdns->waiting && rdns->num_turns < RDNS_TURNS; at = next) {
		struct lookup *lookup = LIST_OWNER(at, struct lookup, waiting);
		next = at->next;
		if (!may_ask(rdns, lookup->network))
			continue;
		list_remove(at);
		ask_or_wait(lookup);
	}
}

static void log_lookup(const struct lookup *lookup, const struct rdns_answer *answer)
{
	struct log_line line;
	log_begin(&line, LOG_reverse_looked_up);
	log_addr(&line, "client", &lookup->op.addr);
	log_str(&line, "status", str_of(rdns_status_name(answer->status)));
	log_u64(&line, "names", answer->num_names);
	log_u64(&line, "confirmed", lookup->op.num_confirmed);
	if (lookup->op.num_illegal)
		log_str(&line, "illegal", dns_name_str(&lookup->op.illegal));
	log_end(&line);
}

static void answer_query(struct rdns_query *query, const struct rdns_answer *answer)
{
	list_remove(&query->link);
	query->rdns = NULL;
	query->on_done(query, answer);
}

static void free_lookup(struct lookup *lookup)
{
	rdns_lookup_done(&lookup->op);
	free(lookup);
}

static void finish(struct lookup *lookup)
{
	struct rdns *rdns = lookup->rdns;
	struct rdns_answer answer = rdns_lookup_answer(&lookup->op);
	take_out(lookup);
	rdns_cache_put(rdns->cache, &lookup->key, &answer, lookup->op.ttl_s, net_now(rdns->net));
	log_lookup(lookup, &answer);
	pass_turns_on(rdns);
	set_timer(rdns);
	while (!list_is_empty(&lookup->queries))
		answer_query(LIST_OWNER(lookup->queries.next, struct rdns_query, link), &answer);
	free_lookup(lookup);
}

static void on_done(struct rdns_lookup *op)
{
	finish(LIST_OWNER(op, struct lookup, op));
}

// From a callback of a lookup, which must not end others; the timer does.
static void hasten_waiting(struct rdns *rdns)
{
	struct list *at = rdns->waiting.previous;
	for (; at != &rdns->waiting; at = at->previous) {
		struct lookup *lookup = LIST_OWNER(at, struct lookup, waiting);
		lookup->due = net_now(rdns->net);
		list_move_first(&rdns->lookups, &lookup->by_age);
	}
	set_timer(rdns);
}

static void log_change(enum breaker_change change, enum resolve_status status)
{
	struct log_line line;
	switch (change) {
	case BREAKER_NO_CHANGE: return;
	case BREAKER_OPENED: log_why(LOG_resolver_down, "%s", resolve_status_name(status)); return;
	case BREAKER_CLOSED_AGAIN:
		log_begin(&line, LOG_resolver_up);
		log_end(&line);
		return;
	}
}

static void tell_breaker(struct lookup *lookup, enum resolve_status status)
{
	struct rdns *rdns = lookup->rdns;
	bool failed = status == RESOLVE_TIMEOUT || status == RESOLVE_UNREACHABLE;
	enum breaker_change change = breaker_tell(
	    &rdns->breaker, lookup->pass, lookup->network->key, failed, net_now(rdns->net));
	log_change(change, status);
	if (change == BREAKER_OPENED)
		hasten_waiting(rdns);
}

static void give_pass_back(struct lookup *lookup)
{
	breaker_give_back(&lookup->rdns->breaker, lookup->pass, lookup->network->key);
}

// Names' own zones say nothing of the name servers, which have just answered.
static void on_reverse(struct rdns_lookup *op, enum resolve_status status)
{
	struct lookup *lookup = LIST_OWNER(op, struct lookup, op);
	if (status == RESOLVE_BUSY)
		give_pass_back(lookup);
	else
		tell_breaker(lookup, status);
}

static void give_up(struct lookup *lookup)
{
	list_remove(&lookup->waiting);
	if (!lookup->has_turn)
		give_pass_back(lookup);
	else if (!lookup->op.reverse_known)
		tell_breaker(lookup, RESOLVE_TIMEOUT);
	rdns_lookup_stop(&lookup->op);
	if (!lookup->has_turn)
		lookup->op.reverse = RDNS_UNAVAILABLE;
	finish(lookup);
}

static void on_due(struct timer *timer)
{
	struct rdns *rdns = LIST_OWNER(timer, struct rdns, timer);
	uint64_t now = net_now(rdns->net);
	while (!list_is_empty(&rdns->lookups)) {
		struct lookup *first = LIST_OWNER(rdns->lookups.next, struct lookup, by_age);
		if (first->due > now)
			break;
		list_take_first(&rdns->lookups);
		give_up(first);
	}
	set_timer(rdns);
}

// ---- lookups that begin -------------------------------------------------

static bool is_half_full(const struct rdns *rdns)
{
	return rdns->num_places >= RDNS_PLACES / 2;
}

static bool is_place_left(const struct rdns *rdns, const struct network *network)
{
	return rdns->num_places < RDNS_PLACES &&
	       (!is_half_full(rdns) || !network || network->places < RDNS_PLACES_SHARE);
}

static struct lookup *new_lookup(struct rdns *rdns, const struct addr *addr)
{
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));
	lookup->op.resolver = rdns->resolver;
	lookup->op.addr = *addr;
	lookup->op.on_reverse = on_reverse;
	lookup->op.on_done = on_done;
	lookup->rdns = rdns;
	lookup->key = rdns_key_of(addr);
	lookup->due = net_now(rdns->net) + rdns->deadline_ms;
	list_init(&lookup->queries);
	return lookup;
}

// NULL when it may not be.
static struct lookup *begin(struct rdns *rdns, const struct addr *addr)
{
	struct rdns_key key = rdns_key_of(addr);
	uint64_t network_key = key_of(&rdns->secret, 'n', rdns_network(&key), STR(""));
	struct network *network = find_network(rdns, network_key);
	unsigned pass = 0;
	if (is_place_left(rdns, network))
		pass = breaker_admit(&rdns->breaker, network_key, net_now(rdns->net));
	if (!pass)
		return NULL;
	struct lookup *lookup = new_lookup(rdns, addr);
	lookup->network = network ? network : add_network(rdns, network_key);
	lookup->pass = pass;
	put_in(lookup);
	ask_or_wait(lookup);
	set_timer(rdns);
	return lookup;
}

// Not when places are getting few: those who wait come first.
static void refresh(struct rdns *rdns, const struct addr *addr)
{
	struct rdns_key key = rdns_key_of(addr);
	if (!is_half_full(rdns) && !find_lookup(rdns, &key))
		begin(rdns, addr);
}

bool rdns_find(struct rdns *rdns, const struct addr *addr, struct rdns_answer *out_answer)
{
	struct rdns_key key = rdns_key_of(addr);
	switch (rdns_cache_find(rdns->cache, &key, net_now(rdns->net), out_answer)) {
	case RDNS_MISS: return false;
	case RDNS_HIT: return true;
	case RDNS_HIT_AGEING: break;
	}
	refresh(rdns, addr);
	return true;
}

// ---- queries ------------------------------------------------------------

// An answer may have come between rdns_find and now.
static void run_query(struct net_task *task)
{
	static const struct rdns_answer refusal = {.status = RDNS_UNAVAILABLE};
	struct rdns_query *query = LIST_OWNER(task, struct rdns_query, task);
	struct rdns_key key = rdns_key_of(&query->addr);
	struct rdns_answer answer;
	if (rdns_find(query->rdns, &query->addr, &answer)) {
		answer_query(query, &answer);
		return;
	}
	struct lookup *lookup = find_lookup(query->rdns, &key);
	if (!lookup)
		lookup = begin(query->rdns, &query->addr);
	if (lookup)
		list_move_last(&lookup->queries, &query->link);
	else
		answer_query(query, &refusal);
}

void rdns_start(struct rdns_query *query, struct rdns *rdns, const struct addr *addr)
{
	BUG_ON(query->rdns);
	query->rdns = rdns;
	query->addr = *addr;
	query->task.run = run_query;
	list_add_last(&rdns->starting, &query->link);
	net_defer(rdns->net, &query->task);
}

void rdns_cancel(struct rdns_query *query)
{
	if (!query->rdns)
		return;
	net_cancel(query->rdns->net, &query->task);
	list_remove(&query->link);
	query->rdns = NULL;
}

// ---- the whole ----------------------------------------------------------

// For two questions.  A server that answers is heard although all others are
// silent, even those that are asked before it.
static uint64_t deadline_of(const struct resolver *resolver, const struct rdns_options *options)
{
	unsigned servers = resolver_num_servers(resolver);
	return 2 * options->timeout_ms * (options->tries > servers ? options->tries : servers);
}

struct rdns *rdns_open(
    struct net *net, struct resolver *resolver, const struct rdns_options *options)
{
	struct rdns *rdns = xcalloc(1, sizeof(*rdns));
	struct rdns_cache_options cache = {.bytes = options->cache_bytes,
	    .min_ttl_ms = options->min_ttl_ms,
	    .max_ttl_ms = options->max_ttl_ms};
	ssize_t len = getrandom(&rdns->secret, sizeof(rdns->secret), 0);
	BUG_ON(len != sizeof(rdns->secret));
	cache.secret = rdns->secret;
	rdns->net = net;
	rdns->resolver = resolver;
	rdns->deadline_ms = deadline_of(resolver, options);
	rdns->cache = rdns_cache_new(&cache);
	breaker_init(&rdns->breaker);
	timer_init(&rdns->timer, net, on_due);
	list_init(&rdns->starting);
	list_init(&rdns->lookups);
	list_init(&rdns->waiting);
	return rdns;
}

static void cancel_all(struct list *queries)
{
	while (!list_is_empty(queries))
		rdns_cancel(LIST_OWNER(queries->next, struct rdns_query, link));
}

static void drop(struct lookup *lookup)
{
	cancel_all(&lookup->queries);
	rdns_lookup_stop(&lookup->op);
	take_out(lookup);
	free_lookup(lookup);
}

static void on_closed(struct timer *timer)
{
	free(LIST_OWNER(timer, struct rdns, timer));
}

void rdns_close(struct rdns **rdns)
{
	struct rdns *closing = *rdns;
	*rdns = NULL;
	if (!closing)
		return;
	cancel_all(&closing->starting);
	while (!list_is_empty(&closing->lookups))
		drop(LIST_OWNER(list_take_first(&closing->lookups), struct lookup, by_age));
	rdns_cache_free(&closing->cache);
	timer_close(&closing->timer, on_closed);
}
