// phase_closing.c: the last phase: a last reply, and letting go of everything
// that is on the loop.  The session is freed when the last of it is closed.
#include "proxy/session/session_priv.h"

#define REPLY_none REPLIES

#define REASON(token, reply, end, sentence) [REASON_##token] = {#token, REPLY_##reply, end},
const struct reason_row reason_rows[REASONS] = {
#include "proxy/session/reasons.def"
};
#undef REASON

// A user's place is one at the store; it does not wait for the client's end.
static void close_store(struct session *session)
{
	limits_give_back(session->house->limits, &session->places[PLACE_user]);
	if (session->last_phase == PHASE_verify && session->verification) {
		verification_cancel(session->verification);
		session_leave_login(session);
	}
	if (session->pending && upstream_cancel(&session->pending->upstream)) {
		session_leave_login(session);
		session_adopt_store(session);
	}
	if (session->store.open)
		stream_close(&session->store);
}

// In the relay the store speaks, not we; and a client that has been promised
// TLS is told nothing without it.
static bool can_reply(const struct session *session)
{
	bool wants_tls = session->listener->options.tls == LISTENER_TLS_implicit;
	bool in_handshake = session->client.tls && !session->tls_version;
	return session->last_phase != PHASE_relay && !in_handshake &&
	       (session->tls_version || !wants_tls);
}

// A TLS client's end is a record: where it comes after close(2), the kernel
// resets, and drops what it has still to send.
static void linger(struct session *session)
{
	if (session->client.ended_told) {
		stream_close_gently(&session->client);
		return;
	}
	stream_finish(&session->client);
	stream_resume(&session->client);
}

static void close_client(struct session *session)
{
	const struct reason_row *row = &reason_rows[session->reason];
	bool reply = can_reply(session);
	if (reply && row->reply != REPLY_none)
		session_reply(session, row->reply);
	switch (row->end) {
	case GENTLY: stream_close_gently(&session->client); return;
	case LINGER:
		if (!reply)
			break;
		linger(session);
		return;
	case ORDERLY: linger(session); return;
	case ABORT: break;
	}
	stream_abort(&session->client);
}

static void enter(struct session *session)
{
	session_stop_judging(session);
	close_store(session);
	session_forget_secrets(session);
	close_client(session);
	session_count_closed(session);
	session_log_closed(session);
}

static size_t discard(struct session *session, struct str bytes)
{
	(void)session;
	return bytes.len;
}

static void on_ended(struct session *session)
{
	stream_close_gently(&session->client);
}

// What the kernel has taken, it goes on sending.
static void on_due(struct session *session)
{
	if (stream_queued(&session->client))
		stream_abort(&session->client);
	else
		stream_close(&session->client);
}

const struct phase_ops phase_closing = {
    .enter = enter,
    .on_bytes = discard,
    .on_ended = on_ended,
    .on_due = on_due,
};
