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

// In the order in which they came to it.
struct session_list {
	struct session *first;
	struct session *last;
	size_t num;
};

// A worker's sessions, and what they all need.
struct sessions {
	struct net *net;
	const struct snapshot *snapshot;
	struct limits *limits;
	struct ledger *ledger;
	struct decision_sources sources;
	struct verify_sources verify;
	struct session_list half_open; // handshakes, most of them without a ClientHello
	struct session_list shaking;   // other handshakes
	struct session_list others;
	uint64_t shed_told; // when a line about handshakes was written last, in ms; 0: never
	uint64_t num_shed;  // since then
	void (*on_last_ended)(struct sessions *sessions); // NULL, or: there is none again
	uint64_t next_id; // random to begin with, so that ids of workers differ
};

// Begins a session; takes over fd.  `listener` is an index into
// config->listeners.
void session_start(struct sessions *sessions, int fd, const struct addr *peer, size_t listener);

static inline size_t sessions_num(const struct sessions *sessions)
{
	return sessions->half_open.num + sessions->shaking.num + sessions->others.num;
}

// Ends all of them with the reason `shutdown`.
void sessions_end(struct sessions *sessions);

#endif
