// phase_sasl.c: an AUTH exchange (RFC 5034), from the mechanism's first
// challenge to its claim.
//
// Whatever ends it without a claim, the session is as it was before AUTH, and
// the client may try again or something else.
#include "proxy/session/session_priv.h"

static void send_challenge(struct session *session, struct str challenge)
{
	char room[REPLY_CONTINUATION_SIZE(NTLM_MESSAGE_MAX)];
	struct text line = TEXT(room);
	reply_continuation(&line, challenge);
	stream_write(&session->client, text_str(&line));
}

// The store that was asked for a challenge has to hear of it.
static void refuse(struct session *session, const struct sasl_answer *answer)
{
	if (answer->why)
		session_log_login_failed(session, str_of(answer->why));
	if (session_waits_for_client(session)) {
		session->pending->tell_at = 0;
		session_abandon_challenge(session, answer->reply);
		return;
	}
	session_count_failed_login(session);
	session_end_mechanism(session);
	session_reply(session, answer->reply);
	session_login_failed(session);
}

static void go_on(
    struct session *session, enum sasl_result result, const struct sasl_answer *answer)
{
	switch (result) {
	case SASL_CHALLENGE: send_challenge(session, answer->challenge); return;
	case SASL_CLAIM:
		if (!session_waits_for_client(session))
			session_end_mechanism(session);
		session_login(session);
		return;
	case SASL_REFUSED: refuse(session, answer); return;
	case SASL_ASK: session_ask_for_challenge(session, answer); return;
	}
}

void session_begin_sasl(struct session *session, enum mechanism mechanism, struct str initial)
{
	struct sasl_answer answer = {.claim = &session->claim};
	session_forget_login(session);
	session_enter(session, PHASE_sasl);
	const struct sasl_settings *settings =
	    session_set_up_mechanism(session, mechanism_claim(mechanism));
	go_on(session, sasl_begin(&session->sasl, settings, mechanism, initial, &answer), &answer);
}

void session_take_challenge(struct session *session, struct str challenge)
{
	struct sasl_answer answer = {.claim = &session->claim};
	go_on(session, sasl_relay(&session->sasl, challenge, &answer), &answer);
}

static void take_response(struct session *session, struct str line, struct str rest)
{
	struct sasl_answer answer = {.claim = &session->claim};
	(void)rest;
	go_on(session, sasl_continue(&session->sasl, line, &answer), &answer);
}

static size_t on_bytes(struct session *session, struct str bytes)
{
	return session_take_line(session, bytes, SASL_LINE_MAX, take_response);
}

const struct phase_ops phase_sasl = {
    .on_bytes = on_bytes,
    .on_ended = session_client_left,
    .on_due = session_too_slow,
};
