// phase_refusal.c: the store has not accepted a login; the client's answer is held
// back for the delay that the failure costs.
//
// A client that does not wait gains nothing: the delay is noted in the shared
// pages too, for all its connections; and it gains nothing by leaving before the
// store has answered.  What is no fault of user or password costs nothing and is
// told at once.
//
// No answer is a failure too, once the store has the password: a store that hangs
// up on wrong ones, or does not answer them in time, must not make guessing free.
// A store that is gone before it is asked is none.  So an outage in the middle of
// logins can count against good users, but only a little: once a day for each
// user and password, however often a client tries, and an address where users are
// known has more failures free (policy/penalties.h); users known there are let in
// whatever the others do.
#include "proxy/session/session_priv.h"

static void tell(struct session *session)
{
	if (upstream_answer(&session->upstream).len)
		session_pass_on(session, true);
	else
		session_reply(session, REPLY_unavailable);
	session_login_failed(session);
}

static bool is_failure(const struct session *session)
{
	struct str answer = upstream_answer(&session->upstream);
	return answer.len ? reply_doubts_login(answer) : upstream_has_asked(&session->upstream);
}

// How long the client waits for the answer.
static uint64_t note_outcome(struct session *session)
{
	struct attempt *attempt = &session->attempt;
	struct str password = secret_reveal(&session->claim.password);
	if (is_failure(session))
		return attempt_failed(attempt, password, net_now(session->house->net));
	attempt_end(attempt);
	return 0;
}

// A shutdown is ours, not the client's.
void session_leave_login(struct session *session)
{
	if (session->reason != REASON_shutdown)
		note_outcome(session);
}

void session_refuse_login(struct session *session)
{
	uint64_t delay = note_outcome(session);
	claim_forget_password(&session->claim);
	if (!delay) {
		tell(session);
		return;
	}
	session_enter(session, PHASE_refusal);
	timer_set(&session->timer, delay);
}

const struct phase_ops phase_refusal = {.on_due = tell};
