// sockets.h: the listening sockets: one for each worker slot of each bind,
// kept for as long as any configuration in force wants them.
//
// Called by the supervisor (plan, release) and by generation.c (a worker's
// share).  A plan is what one configuration wants; a bind is closed when no
// plan has it any more.  So a refused configuration is undone by releasing its
// plan, and a new one takes over the sockets of the old one with whatever is
// queued in them.
//
// Sockets are bound by the supervisor, but listen(2) is called in the worker
// that will serve them.  So a configuration that is refused before its workers
// start has never had an accept queue that nobody reads.
#ifndef POPGATE_PROXY_SERVER_SOCKETS_H
#define POPGATE_PROXY_SERVER_SOCKETS_H

#include "proxy/base/addr.h"
#include "proxy/config/config.h"
#include "proxy/server/worker.h"

struct bound {
	struct bound *next;
	char *listener;     // name of the one that uses it
	struct addr wanted; // as configured; port 0: any
	struct addr actual;
	int *fds; // number i belongs to slot i modulo the number of workers
	size_t num_fds;
	bool announced; // in the log
};

struct socket_plan_item {
	struct bound *bound;
	size_t listener; // index into config->listeners
	size_t num_fds;  // of the bound's, from the first
};

struct socket_plan {
	struct socket_plan *next;
	struct socket_plan_item *items;
	size_t num_items;
};

// The zero state has none.
struct sockets {
	struct bound *bounds;
	struct socket_plan *plans;
};

// Finds or opens what the configuration wants.  NULL with the reason in *why,
// and nothing changed, when a bind is not to be had.
struct socket_plan *sockets_plan(
    struct sockets *sockets, const struct config *config, size_t num_workers, struct text *why);

// A plan for all sockets there are; after an upgrade, whose configuration is
// not known.
struct socket_plan *sockets_plan_all(struct sockets *sockets);

// Ends a plan and sets the pointer to NULL; NULL is allowed.
void sockets_release(struct sockets *sockets, struct socket_plan **plan);

// The plan is in force: logs each address that is new.
void sockets_announce(struct socket_plan *plan, const struct config *config);

// The share of one worker, every socket of the plan being in exactly one share.
// The caller frees the array.
struct worker_socket *sockets_share(
    const struct socket_plan *plan, size_t slot, size_t num_workers, size_t *out_num);

// In a worker: closes all sockets but its share, and listens on those, with the
// backlog of their listener.  False with errno set when that fails.
__attribute__((warn_unused_result)) bool sockets_listen(const struct sockets *sockets,
    const struct config *config, const struct worker_socket *share, size_t num_share);

// A socket at this address that no plan has, not listening yet; `whose` it is tells the
// reason.  It may follow a former one at an address that overlaps; NULL: there is none.
// -1 with the reason in *why when it is not to be had.
int sockets_open_alone(
    const struct addr *addr, const struct addr *former, const char *whose, struct text *why);

// Takes over a bind from before an upgrade, without sockets as yet.
struct bound *sockets_adopt_bound(struct sockets *sockets, const struct addr *wanted,
    const struct addr *actual, struct str listener);
void sockets_adopt_fd(struct bound *bound, int fd);

#endif
