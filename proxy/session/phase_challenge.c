// phase_challenge.c: NTLM that is passed through: the store is asked for its
// challenge, or told that the client has given up.
//
// In between, while the client computes its answer, the session is in phase sasl
// and the dialogue with the store waits.  When the store does not, the client is
// told once it has sent what it was asked for (phase_login.c).  Each try has a
// connection of its own: what a store makes of a second one on the same nobody knows.
#include "proxy/session/session_priv.h"

static struct backend *backend_for(const struct session *session, struct str domain)
{
	const struct snapshot *snapshot = session->house->snapshot;
	const struct routes *routes = snapshot->routes[session->listener_index];
	return snapshot->backends[routes_backend_of_domain(routes, domain, session->home)];
}

static void on_challenge(struct upstream *upstream, struct str challenge)
{
	struct session *session = upstream->context;
	session_enter(session, PHASE_sasl);
	session_take_challenge(session, challenge);
}

// The store has not given a challenge, or heard that none is needed.
void session_challenge_over(struct session *session)
{
	session_end_mechanism(session);
	session_tell_refusal(session);
}

void session_ask_for_challenge(struct session *session, const struct sasl_answer *answer)
{
	session_begin_pending(session);
	session->backend = backend_for(session, answer->domain);
	session->pending->own_reply = REPLY_unavailable;
	session->pending->tell_at = 0;
	session_enter(session, PHASE_challenge);
	session_dial(session, answer->token);
	session->pending->upstream.on_challenge = on_challenge;
	upstream_start(&session->pending->upstream);
}

// A store that has left is still on its way out for a turn of the loop; until then
// the dialogue is not over, and no other may begin.
bool session_waits_for_client(const struct session *session)
{
	return session->pending && session->pending->upstream.step != UPSTREAM_IDLE;
}

void session_abandon_challenge(struct session *session, enum reply reply)
{
	session->pending->own_reply = reply;
	session_enter(session, PHASE_challenge);
	upstream_abandon(&session->pending->upstream);
}

static void on_due(struct session *session)
{
	upstream_on_due(&session->pending->upstream);
}

const struct phase_ops phase_challenge = {.on_due = on_due};
