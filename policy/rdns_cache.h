// rdns_cache.h: what was found out about addresses, for as long as it holds, in
// a fixed amount of memory.
//
// Owned by rdns.c, one for each worker.  Pure: time is passed in, in ms of any
// clock that does not go back.
//
// The bound counts everything: answers with all that goes with them, and the
// hash table, which is made for the bound and never grows.  When room is needed
// the answer that was not used for longest goes.  Clients choose their addresses
// and write their names, so hashing has a secret, and one network
// (rdns_network) gets a sixteenth of the bound; beyond that its own oldest
// answers go, and nobody else's.
//
// How long an answer is kept, for a lifetime of `ttl` that the DNS gave it:
//     names                     ttl, within min_ttl and max_ttl
//     no names                  ttl, within min_ttl and 1 hour (RFC 2308 section 5)
//     servfail, timeout         5 s; 10, 20, 30 s when it goes on (RFC 2308
//                               section 7 allows 5 minutes)
//     unavailable               not at all
#ifndef POPGATE_POLICY_RDNS_CACHE_H
#define POPGATE_POLICY_RDNS_CACHE_H

#include "policy/key.h"
#include "policy/rdns_answer.h"

struct rdns_cache_options {
	size_t bytes;
	uint64_t min_ttl_ms;
	uint64_t max_ttl_ms; // a smaller one than min_ttl_ms counts as that
	struct key_secret secret;
};

enum rdns_hit {
	RDNS_MISS,
	RDNS_HIT,
	// Found, and in the last tenth of its life: it should be asked for anew.
	// Said once in a life, and never of failures.
	RDNS_HIT_AGEING,
};

struct rdns_cache;

struct rdns_cache *rdns_cache_new(const struct rdns_cache_options *options);
void rdns_cache_free(struct rdns_cache **cache);

// What is found stays valid until the next rdns_cache_put.
enum rdns_hit rdns_cache_find(struct rdns_cache *cache, const struct rdns_key *key, uint64_t now,
    struct rdns_answer *out_answer);

// Copies the answer, in place of an earlier one; except that a failure does not
// replace what still holds.
void rdns_cache_put(struct rdns_cache *cache, const struct rdns_key *key,
    const struct rdns_answer *answer, uint32_t ttl_s, uint64_t now);

// Memory in use: at most the bound, unless that is too small for a table (4 KiB).
size_t rdns_cache_bytes(const struct rdns_cache *cache);

#endif
