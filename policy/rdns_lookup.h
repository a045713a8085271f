// rdns_lookup.h: one address looked up: the names it has, then for each name
// whether the address is among its own.
//
// Embedded in what rdns.c keeps for an address.  Asks the resolver for PTR, then
// for A or AAAA, whichever the client's address is, of at most 8 names, two
// at a time: names and their zones are chosen by whoever owns the address, and
// none of them shall take a lot of questions or, being silent, keep the others
// from being asked.
//
// Follows the contract of everything that waits; the memory is the owner's from
// within on_done.
#ifndef POPGATE_POLICY_RDNS_LOOKUP_H
#define POPGATE_POLICY_RDNS_LOOKUP_H

#include "policy/rdns_answer.h"
#include "proxy/net/resolve.h"

enum { RDNS_LOOKUP_QUESTIONS = 2 }; // at a time

struct rdns_lookup {
	struct resolver *resolver;
	struct addr addr;
	// The reverse zone was asked for: what a circuit breaker wants to know.
	void (*on_reverse)(struct rdns_lookup *lookup, enum resolve_status status);
	void (*on_done)(struct rdns_lookup *lookup);

	// What came out so far; of use to the owner once it is done or stopped.
	uint32_t ttl_s; // the least of all answers used
	size_t num_illegal;
	struct dns_name illegal; // the first of them, for a log line alone
	bool reverse_known;

	enum rdns_status reverse;
	enum rdns_status forward; // the first failure among the names
	size_t num_names;
	size_t num_begun;  // of the names
	size_t num_asking; // questions under way
	size_t num_confirmed;
	struct rdns_name names[RDNS_NAMES_MAX];
	struct dns_name *room; // of the names; heap, until rdns_lookup_done
	struct rdns_question {
		struct resolve resolve;
		size_t name; // that it is about
	} questions[RDNS_LOOKUP_QUESTIONS];
};

// The first four members are filled in by the caller, the rest is zero.
void rdns_lookup_start(struct rdns_lookup *lookup);

// Ends it now, or before it was started; on_done is not called.  What is not
// known counts as RDNS_TIMEOUT.
void rdns_lookup_stop(struct rdns_lookup *lookup);

// Frees what it holds, when it is done or stopped.
void rdns_lookup_done(struct rdns_lookup *lookup);

// When it is done or stopped.  A name that is confirmed is enough; then other
// names' failures only make ttl_s short.
struct rdns_answer rdns_lookup_answer(const struct rdns_lookup *lookup);

#endif
