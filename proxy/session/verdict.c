// verdict.c: may this client connect: asks the policy, and acts on its answer.
//
// The question is put when the client's address is known.  Where the answer
// needs DNS, TLS shakes hands meanwhile, and the greeting waits for both
// (phase_greeting.c).  A client that is to be told why must be let into TLS
// first, since it could not read the words before; one that is not is gone at
// once.
#include "proxy/session/session_priv.h"

#include <stdlib.h>

#include "policy/rulebook.h"
#include "proxy/base/die.h"

struct judging {
	struct decision decision;
	struct session *session;
};

// How a refused client leaves.
static enum reason reason_of(const struct session *session)
{
	enum refusal refusal = session->policy ? session->policy->options.refusal : REFUSAL_message;
	switch (refusal) {
	case REFUSAL_drop: return REASON_policy_dropped;
	case REFUSAL_reset: return REASON_policy_reset;
	case REFUSAL_message: break;
	}
	return session->verdict.by_dns_failure ? REASON_policy_unsure : REASON_policy_denied;
}

static bool is_refused(const struct session *session)
{
	return session->verdict.access == ACCESS_deny;
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

// What is worth knowing of a decision once it is made.
static void keep(struct session *session, const struct decision *decision)
{
	session->verdict = (struct verdict){
	    .is_known = true,
	    .by_dns_failure = decision->by_dns_failure,
	    .name_confirmed = decision->name_confirmed,
	    .access = decision->verdict,
	    .dns = decision->dns,
	    .methods = decision->methods,
	    .country = decision->country,
	    .asn = decision->asn,
	    .rule = decision_rule(decision),
	    .name = decision->name[0] ? str_dup(str_of(decision->name)) : NULL,
	};
}

void session_stop_judging(struct session *session)
{
	if (session->judging)
		decision_cancel(&session->judging->decision);
	free(session->judging);
	session->judging = NULL;
}

static void on_outcome(struct session *session)
{
	const struct decision *decision = &session->judging->decision;
	keep(session, decision);
	session_log_audits(session, decision);
	session_stop_judging(session);
	if (is_refused(session) && session->policy->options.refusal != REFUSAL_message)
		refuse(session);
}

static void on_done(struct decision *decision)
{
	struct judging *judging = (void *)((char *)decision - offsetof(struct judging, decision));
	struct session *session = judging->session;
	on_outcome(session);
	if (session->phase == PHASE_greeting)
		session_greet(session);
}

static void ask(
    struct session *session, const struct policy *policy, const struct policy *exceptions)
{
	struct judging *judging = xcalloc(1, sizeof(*judging));
	*judging = (struct judging){.decision.on_done = on_done, .session = session};
	session->judging = judging;
	bool is_over = decision_start(
	    &judging->decision, policy, exceptions, &session->house->sources, &session->peer);
	session->is_legacy = decision_gives_now(&judging->decision, LOGIN_METHOD_legacy_tls);
	if (is_over)
		on_outcome(session);
}

bool session_judge(struct session *session)
{
	const struct snapshot *snapshot = session->house->snapshot;
	const struct rulebook *rulebook = &snapshot->rulebook;
	const struct policy *policy = rulebook_policy(rulebook, session->listener);
	const struct policy *exceptions = rulebook->policies->exceptions[session->listener_index];
	if (policy)
		session->policy = &snapshot->config->policies[session->listener->policy];
	if (policy || exceptions)
		ask(session, policy, exceptions);
	else
		session->verdict = (struct verdict){.is_known = true, .access = ACCESS_allow};
	return !session_is_closing(session);
}

void session_unjudged(struct session *session)
{
	keep(session, &session->judging->decision);
	session_stop_judging(session);
	session->verdict.by_dns_failure = true;
	session->verdict.dns = DNS_timeout;
	session_close(session, reason_of(session), NULL);
}

bool session_is_welcome(struct session *session)
{
	if (!is_refused(session))
		return true;
	refuse(session);
	return false;
}
