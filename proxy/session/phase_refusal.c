// phase_refusal.c: the store has refused a login; its answer is held back for
// the delay that the failure costs.
//
// A client that does not wait gains nothing: the delay is noted in the shared
// pages too, for all its connections.  What is no fault of user or password costs
// nothing and is told at once.
#include "proxy/session/session_priv.h"

static void tell(struct session *session)
{
	session_pass_on(session, true);
	session_login_failed(session);
}

// How long the client waits for the answer.
static uint64_t note_refusal(struct session *session)
{
	struct attempt *attempt = &session->attempt;
	struct str password = secret_reveal(&session->claim.password);
	if (reply_doubts_login(upstream_answer(&session->upstream)))
		return attempt_failed(attempt, password, net_now(session->house->net));
	attempt_end(attempt);
	return 0;
}

void session_refuse_login(struct session *session)
{
	uint64_t delay = note_refusal(session);
	claim_forget_password(&session->claim);
	if (!delay) {
		tell(session);
		return;
	}
	session_enter(session, PHASE_refusal);
	timer_set(&session->timer, delay);
}

const struct phase_ops phase_refusal = {.on_due = tell};
