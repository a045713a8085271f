// verify_winbind.c: the verifier `winbind`: a domain controller judges, asked by a
// helper.  See verify.h and winbind.h.
//
// It never says `unknown`: an account that the domain does not have is one that the
// domain refuses, and telling the two apart is not asked of every server.  So it
// stands behind verifiers that do (users).
#include "backends/verify/helper_reply.h"
#include "backends/verify/verify.h"

static struct verification *verification_of(struct winbind_request *request)
{
	return (void *)((char *)request - offsetof(struct verification, winbind));
}

// The helper has judged the proof; the MIC, which stands outside it, is ours to judge.
static enum outcome confirm(
    const struct verification *verification, const uint8_t *session_key, const char **why)
{
	static const uint8_t no_key[HELPER_KEY];
	const struct ntlm_exchange *exchange = verification->claim->ntlm;
	if (!session_key && ntlm_exchange_level(exchange) == NTLM_LEVEL_v2) {
		*why = "the helper gave no session key";
		return OUTCOME_unavailable;
	}
	return ntlm_exchange_confirm(exchange, session_key ? session_key : no_key, why)
	           ? OUTCOME_accepted
	           : OUTCOME_rejected;
}

static void on_done(struct winbind_request *request, enum winbind_result result)
{
	static const enum outcome outcomes[] = {
	    [WINBIND_ACCEPTED] = OUTCOME_accepted,
	    [WINBIND_REJECTED] = OUTCOME_rejected,
	    [WINBIND_UNAVAILABLE] = OUTCOME_unavailable,
	};
	struct verification *verification = verification_of(request);
	enum outcome outcome = outcomes[result];
	const char *why = request->why;
	if (outcome == OUTCOME_accepted && verification->claim->kind == CLAIM_ntlm)
		outcome = confirm(verification, request->session_key, &why);
	verification_decide(verification, outcome, why);
}

static struct helper_question question_of(const struct verification *verification)
{
	const struct claim *claim = verification->claim;
	const struct account *account = verification->account;
	struct str domain = winbind_domain(verification->sources->winbind);
	if (claim->kind == CLAIM_ntlm) {
		struct helper_question question = {.about = ntlm_exchange_question(claim->ntlm)};
		bool has_domain = question.about.domain.len ||
		                  str_find(question.about.user, '@') < question.about.user.len;
		if (!has_domain)
			question.about.domain = domain;
		return question;
	}
	return (struct helper_question){
	    .by_password = true,
	    .password = secret_reveal(&claim->password),
	    .about = {.user = account->user,
	        .domain = account->domain.len ? account->domain : domain},
	};
}

void verify_winbind_start(struct verification *verification)
{
	struct winbind_request *request = &verification->winbind;
	request->winbind = verification->sources->winbind;
	request->question = question_of(verification);
	request->on_done = on_done;
	winbind_start(request);
}

void verify_winbind_cancel(struct verification *verification)
{
	winbind_cancel(&verification->winbind);
}
