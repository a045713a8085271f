// verdict.c: may this client connect: asks the policy, and acts on its answer.
//
// The question is put when the client's address is known.  Where the answer
// needs DNS, TLS shakes hands meanwhile, and the greeting waits for both
// (phase_greeting.c).  A client that is to be told why must be let into TLS
// first, since it could not read the words before; one that is not is gone at
// once.
#include "proxy/session/session_priv.h"

#include "policy/rulebook.h"

// How a refused client leaves.
static enum reason reason_of(const struct session *session)
{
	enum refusal refusal = session->policy ? session->policy->options.refusal : REFUSAL_message;
	switch (refusal) {
	case REFUSAL_drop: return REASON_policy_dropped;
	case REFUSAL_reset: return REASON_policy_reset;
	case REFUSAL_message: break;
	}
	return session->decision.by_dns_failure ? REASON_policy_unsure : REASON_policy_denied;
}

static bool is_refused(const struct session *session)
{
	return session->decision.verdict == ACCESS_deny;
}

static void refuse(struct session *session)
{
	char room[REPLY_MAX + 1];
	struct text refusal = TEXT(room);
	enum reason reason = reason_of(session);
	if (reason == REASON_policy_denied) {
		reply_refusal(&refusal, str_of(session->policy->options.refusal_text));
		stream_write(&session->client, text_str(&refusal));
	}
	session_close(session, reason, NULL);
}

static void on_outcome(struct session *session)
{
	session->is_judged = true;
	session_log_audits(session);
	if (is_refused(session) && session->policy->options.refusal != REFUSAL_message)
		refuse(session);
}

static void on_done(struct decision *decision)
{
	struct session *session = (void *)((char *)decision - offsetof(struct session, decision));
	on_outcome(session);
	if (session->phase == PHASE_greeting)
		session_greet(session);
}

bool session_judge(struct session *session)
{
	const struct snapshot *snapshot = session->house->snapshot;
	const struct rulebook *rulebook = &snapshot->rulebook;
	if (session->listener->policy != NO_POLICY)
		session->policy = &snapshot->config->policies[session->listener->policy];
	session->decision.on_done = on_done;
	if (decision_start(&session->decision, rulebook_policy(rulebook, session->listener),
	        rulebook->policies->exceptions[session->listener_index], &session->house->sources,
	        &session->peer))
		on_outcome(session);
	session->is_legacy = decision_gives_now(&session->decision, LOGIN_METHOD_legacy_tls);
	return !session_is_closing(session);
}

void session_unjudged(struct session *session)
{
	decision_cancel(&session->decision);
	session->decision.by_dns_failure = true;
	session->decision.dns = DNS_timeout;
	session->is_judged = true;
	session_close(session, reason_of(session), NULL);
}

bool session_is_welcome(struct session *session)
{
	if (!is_refused(session))
		return true;
	refuse(session);
	return false;
}
