// phase_greeting.c: the greeting, the first thing a client hears, or the refusal
// in its place.
//
// Under TLS from the first byte it is written as the handshake ends, so that
// it leaves in one piece with the session ticket: a ticket alone would make
// the greeting wait for its acknowledgement where TCP_NODELAY is not set.
//
// It waits for the policy's verdict, if that is still out.
#include "proxy/session/session_priv.h"

void session_greet(struct session *session)
{
	char room[REPLY_MAX];
	struct text greeting = TEXT(room);
	if (!session_is_welcome(session))
		return;
	if (session_claims_at_best(session) & CLAIM_digest)
		session_make_timestamp(session);
	reply_greeting(&greeting, str_of(session->listener->options.greeting), session->timestamp);
	stream_write(&session->client, text_str(&greeting));
	session_enter(session, PHASE_command);
}

static void enter(struct session *session)
{
	if (session->verdict.is_known)
		session_greet(session);
}

const struct phase_ops phase_greeting = {.enter = enter, .on_due = session_unjudged};
