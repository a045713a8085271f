// phase_turn.c: a claim waits until it is its turn to be judged.
//
// Mostly that is at once, and then the phase is not entered.  After failed
// logins of the address or the user it is later (policy/penalties.h), or never.
// The user is the name at the store where that judges, else as users.db folds it
// (identity.c).
#include "proxy/session/session_priv.h"

static void wait_for_turn(struct session *session, uint64_t ms)
{
	if (session->phase != PHASE_turn)
		session_enter(session, PHASE_turn);
	timer_set(&session->timer, ms);
}

// Who is denied is not sent to the store either, whoever judges.
static bool goes_to_store(const struct session *session)
{
	return !session->pending->denied &&
	       verifiers_leave_to_store(session_verifiers(session), session->claim.kind);
}

static void take_turn(struct session *session)
{
	uint64_t wait_ms;
	switch (
	    attempt_next_turn(&session->pending->attempt, net_now(session->house->net), &wait_ms)) {
	case TURN_NOW:
		session_enter(session, goes_to_store(session) ? PHASE_login : PHASE_verify);
		return;
	case TURN_LATER: wait_for_turn(session, wait_ms); return;
	case TURN_TOO_LATE: session_close(session, REASON_login_delayed, NULL); return;
	case TURN_BANNED: session_close(session, REASON_banned, NULL); return;
	}
}

void session_login(struct session *session)
{
	struct sessions *house = session->house;
	session_begin_pending(session);
	session_identify(session);
	struct attempt_claim claim = {
	    &session->peer, str_of(session->backend->name), session->counted.name};
	attempt_begin(&session->pending->attempt, house->ledger, house->limits,
	    &session->listener->options, &claim, net_now(house->net));
	take_turn(session);
}

const struct phase_ops phase_turn = {.on_due = take_turn};
