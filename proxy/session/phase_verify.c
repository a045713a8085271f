// phase_verify.c: a claim is judged by popgate's own verifiers (backends/verify).
//
// What they let in logs in at the store; what they do not is refused with one text
// and in one time, whatever the cause: the answer comes login_delay after the
// question, however long the verifiers took (phase_refusal.c).  The cause is in
// the log.
#include "proxy/session/session_priv.h"

#include "proxy/base/die.h"

// What comes to `backend` at last, the store will judge.
static void let_in(struct session *session)
{
	enum verifier verifier = session->verification->verifier;
	const char *why = NULL;
	bool is_refused;
	if (verifier != VERIFIER_backend)
		session->judge = verifier_name(verifier);
	if (session_identify_again(session, &is_refused, &why))
		session_enter(session, PHASE_login);
	else if (is_refused)
		session_reject_login(session, why);
	else
		session_cannot_judge(session, why);
}

static void on_done(struct verification *verification, enum outcome outcome)
{
	struct session *session = verification->context;
	const char *why = verification->why;
	switch (outcome) {
	case OUTCOME_accepted: let_in(session); return;
	case OUTCOME_unavailable: session_cannot_judge(session, why); return;
	case OUTCOME_rejected:
	case OUTCOME_unknown: session_reject_login(session, why); return;
	}
}

static void judge(struct session *session)
{
	struct verification *verification = xcalloc(1, sizeof(*verification));
	session->verification = verification;
	verification->sources = &session->house->verify;
	verification->verifiers = session_verifiers(session);
	verification->claim = &session->claim;
	verification->account = &session->pending->account;
	verification->has_tls = session->tls_version != NULL;
	verification->on_done = on_done;
	verification->context = session;
	verification_start(verification);
}

static void enter(struct session *session)
{
	timer_clear(&session->timer);
	session->pending->judged_at = net_now(session->house->net);
	if (session->pending->denied)
		session_reject_login(session, session->pending->denied);
	else
		judge(session);
}

const struct phase_ops phase_verify = {.enter = enter};
