// verify.c: one verifier after the other, until one decides.  See verify.h.
#include "backends/verify/verify.h"

#include "proxy/base/die.h"
#include "proxy/config/config.h"

#define VERIFIER(name, claims) [VERIFIER_##name] = {#name, claims},
static const struct {
	const char *name;
	unsigned claims;
} rows[VERIFIERS] = {
#include "backends/verify/verifiers.def"
};
#undef VERIFIER

const char *verifier_name(enum verifier verifier)
{
	return rows[verifier].name;
}

// ---- the order ----------------------------------------------------------

static bool has(const struct verifiers *verifiers, enum verifier verifier)
{
	for (size_t i = 0; i < verifiers->num; i++)
		if (verifiers->order[i] == verifier)
			return true;
	return false;
}

struct verifiers verifiers_of(const struct listener_options *options)
{
	struct verifiers verifiers = {
	    .next_if_unavailable = options->verify_unavailable == UNAVAILABLE_next};
	for (size_t i = 0; i < options->verify.num; i++)
		for (enum verifier each = 0; each < VERIFIERS; each++)
			if (str_eq(str_of(options->verify.at[i]), str_of(rows[each].name)) &&
			    !has(&verifiers, each))
				verifiers.order[verifiers.num++] = each;
	return verifiers;
}

bool verifiers_leave_to_store(const struct verifiers *verifiers, enum claim_kind kind)
{
	for (size_t i = 0; i < verifiers->num; i++)
		if (rows[verifiers->order[i]].claims & kind)
			return verifiers->order[i] == VERIFIER_backend;
	return false;
}

// NTLM whose challenge is ours, no store can judge.
static unsigned claims_of(const struct verifiers *verifiers, enum verifier verifier)
{
	unsigned claims = rows[verifier].claims;
	bool is_late =
	    verifier == VERIFIER_backend && !verifiers_leave_to_store(verifiers, CLAIM_ntlm);
	return is_late ? claims & ~(unsigned)CLAIM_ntlm : claims;
}

unsigned verifiers_claims(const struct verifiers *verifiers)
{
	unsigned claims = 0;
	for (size_t i = 0; i < verifiers->num; i++)
		claims |= claims_of(verifiers, verifiers->order[i]);
	return claims;
}

// ---- judging ------------------------------------------------------------

static void finish(struct verification *verification, enum outcome outcome)
{
	verification->on_done(verification, outcome);
}

// The methods by which a claim like this one may be made.
static unsigned methods_of(const struct verification *verification)
{
	static const struct {
		enum claim_kind kind;
		unsigned clear, tls;
	} rows_of_methods[] = {
	    {CLAIM_plain, LOGIN_METHOD_basic, LOGIN_METHOD_basic_tls},
	    {CLAIM_ntlm, LOGIN_METHOD_ntlm, LOGIN_METHOD_ntlm_tls},
	    {CLAIM_digest, LOGIN_METHOD_digest, LOGIN_METHOD_digest_tls},
	    {CLAIM_external, 0, LOGIN_METHOD_external},
	};
	unsigned methods = 0;
	for (size_t i = 0; i < sizeof(rows_of_methods) / sizeof(rows_of_methods[0]); i++)
		if (rows_of_methods[i].kind == verification->claim->kind)
			methods = rows_of_methods[i].clear |
			          (verification->has_tls ? rows_of_methods[i].tls : 0);
	return methods;
}

static enum outcome ask_users(struct verification *verification, const char **why)
{
	struct users *users = verification->sources->users;
	*why = "users.db is gone";
	return users ? verify_users(users, verification->claim, verification->account,
	                   &verification->record, why)
	             : OUTCOME_unavailable;
}

static void ask(struct verification *verification)
{
	const char *why = NULL;
	enum outcome outcome = OUTCOME_accepted;
	switch (verification->verifier) {
	case VERIFIER_users: outcome = ask_users(verification, &why); break;
	case VERIFIER_winbind: verify_winbind_start(verification); return;
	case VERIFIER_certificate: // TLS has judged it, or there would be no such claim
	case VERIFIER_backend:
	case VERIFIERS: break;
	}
	verification_decide(verification, outcome, why);
}

static void ask_next(struct net_task *task)
{
	struct verification *verification =
	    (void *)((char *)task - offsetof(struct verification, task));
	const struct verifiers *verifiers = verification->verifiers;
	while (verification->next < verifiers->num) {
		verification->verifier = verifiers->order[verification->next++];
		if (claims_of(verifiers, verification->verifier) & verification->claim->kind) {
			ask(verification);
			return;
		}
	}
	finish(verification, verification->is_unsure ? OUTCOME_unavailable : OUTCOME_rejected);
}

// Whether the record lets the user log in in this way is asked last, so that where
// our verifiers judge only who knows the password can tell.
static bool is_barred(const struct verification *verification)
{
	return !user_record_allows(&verification->record, methods_of(verification));
}

void verification_decide(struct verification *verification, enum outcome outcome, const char *why)
{
	if (outcome == OUTCOME_accepted && is_barred(verification)) {
		outcome = OUTCOME_rejected;
		why = "the user may not log in by this method";
	}
	bool is_open =
	    outcome == OUTCOME_unknown ||
	    (outcome == OUTCOME_unavailable && verification->verifiers->next_if_unavailable);
	if (!verification->is_unsure || !is_open)
		verification->why = why;
	verification->is_unsure |= outcome == OUTCOME_unavailable;
	if (is_open)
		net_defer(verification->sources->net, &verification->task);
	else
		finish(verification, outcome);
}

void verification_start(struct verification *verification)
{
	verification->next = 0;
	verification->is_unsure = false;
	verification->why = "nobody can judge this";
	user_record_done(&verification->record);
	verification->task.run = ask_next;
	net_defer(verification->sources->net, &verification->task);
}

void verification_cancel(struct verification *verification)
{
	net_cancel(verification->sources->net, &verification->task);
	if (verification->winbind.is_under_way)
		verify_winbind_cancel(verification);
}

void verification_done(struct verification *verification)
{
	user_record_done(&verification->record);
}
