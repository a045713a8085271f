// rdns.h: the names of a client's address: remembered, or asked for once,
// however many sessions want to know.
//
// One for each worker, over its resolver.  Asked by the judgement of `domain`
// rules when such a rule can still decide.
//
// What a client can cost: its address is asked for once in the lifetime of the
// answer, failures included, and no answer takes longer than the deadline: twice
// tries x timeout, as names and their addresses are asked for one after the
// other; with more servers than tries (at most RESOLVER_SERVERS_MAX), twice
// servers x timeout, so that each is asked for both.  There are places for 8192
// lookups (RDNS_UNAVAILABLE beyond that), of which 6000 ask at a time while the
// others wait for their turn.  Who owns a network (rdns_network) and has its
// reverse zone be silent could take all of them; so each network has its share,
// a small one when they are getting few.  When the name servers do not answer
// any more (breaker.h), nobody waits: RDNS_UNAVAILABLE.
//
// An answer that is used in the last tenth of its life is asked for anew
// meanwhile, so that a busy client never waits again.
//
// Follows the contract of everything that waits:
//   1. rdns_start never calls on_done before it returns.
//   2. on_done is called exactly once, unless the query is cancelled first.
//   3. After rdns_cancel, or rdns_close, it is not called.
//   4. The memory is the owner's; within on_done it may be started again and any
//      other cancelled, but rdns_close may not be called there.
//   5. The address is copied.
#ifndef POPGATE_POLICY_RDNS_H
#define POPGATE_POLICY_RDNS_H

#include "policy/list.h"
#include "policy/rdns_answer.h"
#include "proxy/net/net.h"

struct resolver;
struct rdns;

enum {
	RDNS_PLACES = 8192,
	RDNS_PLACES_SHARE = 256, // of one network, when half of all are taken
	// With at most two questions each; 288 of the resolver's are left to others.
	RDNS_TURNS = 6000,
	RDNS_TURNS_SHARE = 512,
	RDNS_TURNS_SMALL_SHARE = 256, // when half of all are taken: a whole /24 of IPv4
};

struct rdns_options {
	uint64_t timeout_ms; // the resolver's
	unsigned tries;      // the resolver's
	size_t cache_bytes;
	uint64_t min_ttl_ms;
	uint64_t max_ttl_ms;
};

// The zero state is idle.  The names in the answer live only within on_done.
struct rdns_query {
	void (*on_done)(struct rdns_query *query, const struct rdns_answer *answer);
	void *context;

	struct rdns *rdns; // NULL: idle
	struct addr addr;
	struct net_task task;
	struct list link; // with others that wait for the same
};

// Borrows the resolver, which must be closed later than this.
struct rdns *rdns_open(
    struct net *net, struct resolver *resolver, const struct rdns_options *options);

// Drops all queries; what it has on the loop ends with the loop's next turn.
void rdns_close(struct rdns **rdns);

// What is known already.  False when it would have to be asked for.  The names
// live until the next call for this rdns, and not beyond a return to the loop.
bool rdns_find(struct rdns *rdns, const struct addr *addr, struct rdns_answer *out_answer);

// The first two members are filled in by the caller.
void rdns_start(struct rdns_query *query, struct rdns *rdns, const struct addr *addr);

// Drops the query; nothing happens when it is idle.  What was asked for is
// remembered all the same when it comes.
void rdns_cancel(struct rdns_query *query);

#endif
