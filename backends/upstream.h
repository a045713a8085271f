// upstream.h: the POP3 dialogue with a backend, from dialling to its answer to
// the login.
//
// Started by the session once it has credentials.  Tries the backend's servers in
// order until one takes the dialogue up; then logs in there (backends/login).
//
// Where the credentials hold an NTLM token, the exchange is between the client and
// the store: on_challenge brings the store's challenge, and the dialogue waits for
// upstream_relay or upstream_abandon.
//
// Follows the contract of everything that waits:
//   1. upstream_start never calls on_done or on_challenge before it returns.
//   2. on_done is called exactly once, unless the dialogue is cancelled first;
//      on_challenge at most once, and before it.
//   3. After upstream_cancel neither is called.
//   4. The memory is the owner's; within on_done it may be started again, or freed.
//   5. backend, credentials, stream and timer are borrowed until the end.
#ifndef POPGATE_BACKENDS_UPSTREAM_H
#define POPGATE_BACKENDS_UPSTREAM_H

#include "backends/backend.h"
#include "backends/login/login.h"
#include "proxy/net/stream.h"
#include "proxy/net/timer.h"
#include "proxy/net/tls.h"

enum upstream_result {
	UPSTREAM_LOGGED_IN,   // the stream is open, paused, and the owner's
	UPSTREAM_REFUSED,     // the store said no; it is worth another password
	UPSTREAM_UNAVAILABLE, // no server took us up, or it broke in the middle
	UPSTREAM_ABANDONED,   // as upstream_abandon wanted
};

// What is being waited for.
enum upstream_step {
	UPSTREAM_IDLE,
	UPSTREAM_CONNECT,
	UPSTREAM_SECURE,
	UPSTREAM_GREETING,
	UPSTREAM_STLS,
	UPSTREAM_SECURE_AFTER_STLS,
	UPSTREAM_LOGIN,   // the store's next line; see login.awaited
	UPSTREAM_CLIENT,  // the client's answer to the store's challenge
	UPSTREAM_ABANDON, // the store's answer to "*"
	UPSTREAM_CLOSE,   // of the stream, before the next server or the result
	UPSTREAM_STEPS
};

struct upstream {
	struct net *net;
	struct stream *stream;
	struct timer *timer; // the owner's; see upstream_on_due
	struct backend *backend;
	const struct credentials *credentials;
	void (*on_done)(struct upstream *upstream, enum upstream_result result);
	// NULL without a token.  The challenge (decoded) is valid until it returns.
	void (*on_challenge)(struct upstream *upstream, struct str challenge);
	void *context;
	// The hash of a certificate (DER) that NTLM binds itself to (certs/end_point.h), and
	// its length, 0: none.  NULL: NTLM is not bound.
	size_t (*end_point)(struct str der, uint8_t out[TLS_END_POINT_MAX]);

	enum upstream_step step;
	uint32_t tried;
	struct backend_server *server; // tried now, or logged in at
	enum upstream_result result;   // to be told once the stream is closed
	bool again;                    // or another server is to be tried
	struct login login;
	struct net_task task;
	struct buf answer; // the store's last line, for the client
};

// The first nine members are filled in by the caller, the rest is zero or
// what an earlier dialogue left, which must be over: done or cancelled.
void upstream_start(struct upstream *upstream);

// The client's answer (decoded) to on_challenge, to be told to the store; or the
// client gives up, which the store is told, and has a moment to answer.  In the time
// between on_challenge and either the timer is the owner's alone, also when the store
// leaves and on_done is called.
void upstream_relay(struct upstream *upstream, struct str token);
void upstream_abandon(struct upstream *upstream);

// To be called when the timer is due, but for that time.
void upstream_on_due(struct upstream *upstream);

// Gives up.  True when the stream is still on the loop and will tell
// STREAM_CLOSED; it is the caller's then.
bool upstream_cancel(struct upstream *upstream);

// Whether a server has got the password, or a proof of it; until the next start.
static inline bool upstream_has_asked(const struct upstream *upstream)
{
	return upstream->login.stage == LOGIN_ASKED;
}

// The line that decided a login, for the client, within on_done; empty when there
// was none.  It is the store's, or ours where no store could be told the login.
static inline struct str upstream_answer(const struct upstream *upstream)
{
	return buf_str(&upstream->answer);
}

// Of UPSTREAM_REFUSED, within on_done: why no store could be told the login, for the log;
// NULL when it is the store that refuses.
static inline const char *upstream_untold(const struct upstream *upstream)
{
	return upstream->login.stage == LOGIN_FRESH ? upstream->login.why : NULL;
}

void upstream_done(struct upstream *upstream);

#endif
