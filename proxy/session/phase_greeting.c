// phase_greeting.c: the greeting, the first thing a client hears.
//
// Under TLS from the first byte it is written as the handshake ends, so that
// it leaves in one piece with the session ticket: a ticket alone would make
// the greeting wait for its acknowledgement where TCP_NODELAY is not set.
#include "proxy/session/session_priv.h"

static void enter(struct session *session)
{
	char room[REPLY_MAX];
	struct text greeting = TEXT(room);
	reply_greeting(&greeting, str_of(session->listener->options.greeting));
	stream_write(&session->client, text_str(&greeting));
	session_enter(session, PHASE_command);
}

const struct phase_ops phase_greeting = {.enter = enter};
