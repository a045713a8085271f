// worker.h: a worker process: one event loop, its listening sockets, its
// sessions.
//
// Called by the supervisor in a freshly forked child.  The worker talks with
// the supervisor over one socket, a byte a message (channel.def).  When the
// supervisor is gone (the socket ends), the worker drains.
#ifndef POPGATE_PROXY_SERVER_WORKER_H
#define POPGATE_PROXY_SERVER_WORKER_H

#include <stddef.h>

#include "policy/host_answers.h"
#include "policy/ledger.h"
#include "policy/limits.h"
#include "proxy/net/tickets.h"
#include "proxy/server/sandbox.h"
#include "proxy/session/snapshot.h"

// A listening socket and the listener (index into config->listeners) that it
// belongs to.
struct worker_socket {
	int fd;
	size_t listener;
};

struct worker_start {
	struct snapshot *snapshot; // the worker's own copy
	struct limits *limits;
	struct ledger *ledger;
	struct host_answers *host_answers;
	const struct tickets *tickets;
	size_t num_workers; // of this generation
	unsigned id;        // of the place in the limits' pages
	int channel;
	int signer; // a socket to the process with the private keys; -1: none
	const struct worker_socket *sockets; // listening
	size_t num_sockets;
	struct sandbox_identity identity; // who to become
	bool is_replacement;              // of one that has died
};

// Gives up root, opens everything, reports CHANNEL_ready and serves until it
// is drained; then exits with status 0.  On failure logs why and exits with
// status 1.  The caller has closed what the worker must not have.
_Noreturn void worker_run(const struct worker_start *start);

#endif
