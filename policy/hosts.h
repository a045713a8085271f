// hosts.h: the addresses of the names in `host` rules: looked up at start, and
// again whenever they run out.
//
// The names of a policy are added when it is compiled, before any worker is
// there; each worker opens its copy, which then keeps itself up to date.  The
// judgement asks whether an address is among those of a name.
//
// The last good answer is kept for ever, over reloads, upgrades and the death of
// workers too (host_answers.h): neither dead name servers nor a name that has
// vanished takes anybody's access away.  The latter is logged, once by each
// worker.  What is kept holds at once when hosts are opened, and all are asked
// for anew right away.
//
// A good answer replaces the one before; if only one kind of address (A, AAAA)
// could be asked for, the other kind stays as it was.
//
// Nobody waits for a first answer longer than until the deadline, which is one
// for all names: twice tries x timeout from hosts_open, as in rdns.h, however
// many servers are silent.  Names without an answer then count as failed, and
// are asked for on.
//
// Asked for again: a good answer after its lifetime, within 30 s and 1 day; "no
// such name" the same, within 30 s and 1 hour; after a failure in 5, 10, 20, 30 s.
#ifndef POPGATE_POLICY_HOSTS_H
#define POPGATE_POLICY_HOSTS_H

#include "policy/host_answers.h"
#include "policy/list.h"
#include "proxy/base/addr.h"
#include "proxy/base/str.h"
#include "proxy/net/net.h"

struct resolver;
struct hosts;

enum host_match {
	HOST_MATCHES,
	HOST_DIFFERS,
	HOST_UNKNOWN, // the first answer is still awaited
	HOST_FAILED,  // there was none for this kind of address yet; "no such name" is one
};

struct hosts *hosts_new(void);

// The same name again gives the same index.  Copies the name, which is as
// domain_read gives it.
size_t hosts_add(struct hosts *hosts, const char *name);

// When names are looked up again, in ms; hosts_new sets what is said above.
struct hosts_times {
	uint64_t ttl_min;
	uint64_t ttl_max;
	uint64_t none_max;
	uint64_t retry; // doubles up to:
	uint64_t retry_max;
};
void hosts_set_times(struct hosts *hosts, const struct hosts_times *times);

struct hosts_options {
	uint64_t timeout_ms;          // the resolver's
	unsigned tries;               // the resolver's
	struct host_answers *answers; // NULL: no answers of others
};

// Begins to look the names up; none can be added any more.  Borrows the
// resolver and the answers, which must be closed later than this.
void hosts_open(struct hosts *hosts, struct net *net, struct resolver *resolver,
    const struct hosts_options *options);

// Drops all that wait; what it has on the loop ends with the loop's next turn.
// For hosts that were never opened, too.
void hosts_close(struct hosts **hosts);

// Port and scope are ignored.
enum host_match hosts_match(const struct hosts *hosts, size_t index, const struct addr *addr);

// Waits until hosts_match no longer says HOST_UNKNOWN.  Follows the contract of
// everything that waits; the zero state is idle.
struct hosts_wait {
	void (*on_done)(struct hosts_wait *wait);
	void *context;

	struct net *net; // NULL: idle
	struct net_task task;
	struct list link; // with others that wait for any
};

// The first two members are filled in by the caller; the hosts are open.
void hosts_wait_start(struct hosts_wait *wait, struct hosts *hosts, size_t index);
void hosts_wait_cancel(struct hosts_wait *wait);

#endif
