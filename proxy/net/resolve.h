// resolve.h: asks name servers for the names of an address and the addresses
// of a name.
//
// One resolver for each worker, made before its filter of system calls closes;
// policy/ keeps the answers and knows what they mean.  Over c-ares, whose
// sockets are watched by our loop; the answers are taken apart by dns_answer.c.
// /etc/hosts is never read, nor anything else once the resolver is made.
//
// A question is asked of each server in turn, `tries` rounds, until one
// answers.  A server that answers with a failure is not asked again.  So an
// answer takes at most servers x tries x timeout, twice that if every server
// answers at the last moment that the rest must be fetched by TCP.
//
// The first to be asked is the first server that is not down: silent, or not to
// be reached, three times in a row.  Where all are, it is the one that answered
// last: whose zone is silent can make good servers look so, too.  One that is
// passed over is asked again every recheck_ms, beside another, so that nobody
// waits for it; any answer of its has it back.
//
// What a question costs an attacker who cannot see it and forges answers: its
// id and its source port are the kernel's choice, and the port is left for
// another after a few dozen questions.
//
// Follows the contract of everything that waits:
//   1. resolve_start never calls on_done before it returns.
//   2. on_done is called exactly once, unless the question is cancelled first.
//   3. After resolve_cancel, or resolver_close, it is not called.
//   4. The memory is the owner's; within on_done it may be started again, any
//      other may be cancelled, and the resolver may be closed.
//   5. Name and address are copied.
#ifndef POPGATE_PROXY_NET_RESOLVE_H
#define POPGATE_PROXY_NET_RESOLVE_H

#include "proxy/net/dns_answer.h"
#include "proxy/net/net.h"

enum {
	RESOLVER_SERVERS_MAX = 4,
	RESOLVER_BUSY_AT = 12288, // questions at a time
	RESOLVER_DOWN_AT = 3,     // failures in a row
	RESOLVER_RECHECK_MS = 30 * 1000,
};

enum resolve_status {
	RESOLVE_OK,
	RESOLVE_NXDOMAIN,    // there is no such name
	RESOLVE_NODATA,      // there is, without a record of this type
	RESOLVE_SERVFAIL,    // the server could not find out
	RESOLVE_REFUSED,     // it answered with another failure, or with nonsense
	RESOLVE_TIMEOUT,     // it did not answer
	RESOLVE_UNREACHABLE, // it cannot be reached: nobody listens there, no route
	RESOLVE_BUSY,        // RESOLVER_BUSY_AT questions are being asked
	RESOLVE_STATUSES
};

// Lives only within on_done.
struct resolve_answer {
	enum resolve_status status;
	uint32_t ttl_s; // of the first three; see dns_answer.h
	// At RESOLVE_OK; legal host names in lower case.  There may be none although
	// there are records: num_illegal were no host names.
	size_t num_names;
	struct str names[DNS_NAMES_MAX];
	size_t num_ignored; // more of them than are given
	size_t num_illegal;
	struct str illegal; // the first of these, any bytes: for a log line alone
	size_t num_addrs;
	const struct addr *addrs;
};

struct resolver;
struct resolver_query;

// A question; the zero state is idle.
struct resolve {
	void (*on_done)(struct resolve *resolve, const struct resolve_answer *answer);
	void *context;

	struct resolver *resolver;    // NULL: idle
	struct resolver_query *query; // NULL: it is answered without being asked
	enum resolve_status status;   // of the last try
	struct net_task task;
	struct resolve *next, *previous; // all that the resolver has been given
};

struct resolver_setup {
	const struct addr *servers; // copied
	size_t num_servers;         // the first RESOLVER_SERVERS_MAX count; 0: the system's
	uint64_t timeout_ms;        // of one try with one server
	unsigned tries;
	uint64_t recheck_ms; // 0: RESOLVER_RECHECK_MS
};

// NULL with the reason in *why when c-ares refuses.
struct resolver *resolver_new(
    struct net *net, const struct resolver_setup *options, struct text *why);

unsigned resolver_num_servers(const struct resolver *resolver);

// Drops all questions; what it has on the loop ends with the loop's next turn.
void resolver_close(struct resolver **resolver);

// Asks for A or AAAA records.  The first two members are filled in by the
// caller.  RESOLVE_NXDOMAIN when `name` is no host name.
void resolve_start(
    struct resolve *resolve, struct resolver *resolver, enum dns_type type, struct str name);

// Asks for the names of an address.
void resolve_start_reverse(
    struct resolve *resolve, struct resolver *resolver, const struct addr *addr);

// Drops the question; nothing happens when it is idle.
void resolve_cancel(struct resolve *resolve);

// One word for logs: "nxdomain".
const char *resolve_status_name(enum resolve_status status);

#endif
