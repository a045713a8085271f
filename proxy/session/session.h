// session.h: sessions, as a worker sees them: it lets one begin for each
// accepted connection, and can end them all.
#ifndef POPGATE_PROXY_SESSION_SESSION_H
#define POPGATE_PROXY_SESSION_SESSION_H

#include "backends/verify/verify.h"
#include "policy/decision.h"
#include "policy/ledger.h"
#include "policy/limits.h"
#include "proxy/net/net.h"
#include "proxy/session/snapshot.h"

struct session;

// A worker's sessions, and what they all need.
struct sessions {
	struct net *net;
	const struct snapshot *snapshot;
	struct limits *limits;
	struct ledger *ledger;
	struct decision_sources sources;
	struct verify_sources verify;
	struct session *first;
	size_t num;
	void (*on_last_ended)(struct sessions *sessions); // NULL, or: num is 0 again
	uint64_t next_id; // random to begin with, so that ids of workers differ
};

// Begins a session; takes over fd.  `listener` is an index into
// config->listeners.
void session_start(struct sessions *sessions, int fd, const struct addr *peer, size_t listener);

// Ends all of them with the reason `shutdown`.
void sessions_end(struct sessions *sessions);

#endif
