// upstream.h: the POP3 dialogue with a backend, from dialling to its answer to
// the login.
//
// Started by the session once it has a claim.  Tries the backend's servers in
// order until one takes the dialogue up; then logs in there with the claim.
//
// Follows the contract of everything that waits:
//   1. upstream_start never calls on_done before it returns.
//   2. on_done is called exactly once, unless the dialogue is cancelled first.
//   3. After upstream_cancel it is not called.
//   4. The memory is the owner's; within on_done it may be started again.
//   5. backend, claim, stream and timer are borrowed until the end.
#ifndef POPGATE_BACKENDS_UPSTREAM_H
#define POPGATE_BACKENDS_UPSTREAM_H

#include "backends/backend.h"
#include "proxy/net/stream.h"
#include "proxy/net/timer.h"
#include "proxy/pop3/claim.h"

enum upstream_result {
	UPSTREAM_LOGGED_IN,   // the stream is open, paused, and the owner's
	UPSTREAM_REFUSED,     // the store said no; it is worth another password
	UPSTREAM_UNAVAILABLE, // no server took us up, or it broke in the middle
};

// What is being waited for; each has a row in upstream.c.
enum upstream_step {
	UPSTREAM_IDLE,
	UPSTREAM_CONNECT,
	UPSTREAM_SECURE,
	UPSTREAM_GREETING,
	UPSTREAM_STLS,
	UPSTREAM_SECURE_AFTER_STLS,
	UPSTREAM_USER,
	UPSTREAM_PASS,
	UPSTREAM_CLOSE, // of the stream, before the next server or the result
	UPSTREAM_STEPS
};

struct upstream {
	struct net *net;
	struct stream *stream;
	struct timer *timer; // the owner's; see upstream_on_due
	struct backend *backend;
	const struct claim *claim;
	void (*on_done)(struct upstream *upstream, enum upstream_result result);
	void *context;

	enum upstream_step step;
	uint32_t tried;
	struct backend_server *server; // tried now, or logged in at
	enum upstream_result result;   // to be told once the stream is closed
	bool again;                    // or another server is to be tried
	bool asked;                    // a server has got the password
	struct net_task task;
	struct buf answer; // the store's last line, for the client
};

// The first seven members are filled in by the caller, the rest is zero or
// what an earlier dialogue left.
void upstream_start(struct upstream *upstream);

// To be called when the timer is due.
void upstream_on_due(struct upstream *upstream);

// Gives up.  True when the stream is still on the loop and will tell
// STREAM_CLOSED; it is the caller's then.
bool upstream_cancel(struct upstream *upstream);

// The store's line that decided a login, within on_done; empty when there was
// none.
static inline struct str upstream_answer(const struct upstream *upstream)
{
	return buf_str(&upstream->answer);
}

void upstream_done(struct upstream *upstream);

#endif
