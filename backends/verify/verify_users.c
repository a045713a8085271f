// verify_users.c: claims judged by users.db.  See verify_users.h.
#include "backends/verify/verify_users.h"

#include <openssl/mem.h>

#include "proxy/pop3/ntlm/crypto.h"

struct judge {
	enum claim_kind kind;
	// Whether the record has what such a claim is judged by.
	bool (*can_judge)(const struct user_record *record);
	// Whether the claim is true; of a record without anything too, for the time it
	// takes.  Sets *why when not.
	bool (*is_true)(
	    const struct claim *claim, const struct user_record *record, const char **why);
};

static bool has_hash(const struct user_record *record)
{
	return record->has_nt_hash;
}

static bool has_password(const struct user_record *record)
{
	return record->password.at;
}

static bool is_password(
    const struct claim *claim, const struct user_record *record, const char **why)
{
	uint8_t hash[USER_NT_HASH] = {0};
	bool is_utf8 = ntlm_nt_hash(secret_reveal(&claim->password), hash);
	bool same = CRYPTO_memcmp(hash, record->nt_hash, sizeof(hash)) == 0;
	explicit_bzero(hash, sizeof(hash));
	*why = is_utf8 ? "the password is wrong" : "the password is no UTF-8";
	return is_utf8 && same;
}

static bool is_response(
    const struct claim *claim, const struct user_record *record, const char **why)
{
	return ntlm_exchange_prove(claim->ntlm, record->nt_hash, why);
}

static bool is_digest(const struct claim *claim, const struct user_record *record, const char **why)
{
	*why = "the password is wrong";
	return digest_matches(&claim->digest, secret_reveal(&record->password));
}

// Of a record that was found and is not disabled: those that are not, are.
static bool is_there(const struct user_record *record)
{
	return record->enabled;
}

// TLS has proved it.
static bool is_proved(const struct claim *claim, const struct user_record *record, const char **why)
{
	(void)claim;
	(void)record;
	*why = NULL;
	return true;
}

static const struct judge judges[] = {
    {CLAIM_plain, has_hash, is_password},
    {CLAIM_ntlm, has_hash, is_response},
    {CLAIM_digest, has_password, is_digest},
    {CLAIM_external, is_there, is_proved},
};

static const struct judge *find_judge(const struct claim *claim)
{
	for (size_t i = 0; i < sizeof(judges) / sizeof(judges[0]); i++)
		if (judges[i].kind == claim->kind)
			return &judges[i];
	return NULL;
}

static enum outcome judge_record(const struct judge *judge, const struct claim *claim,
    enum users_found found, const struct user_record *record, const char **why)
{
	const char *reason;
	bool is_true = judge->is_true(claim, record, &reason);
	if (found == USERS_UNAVAILABLE)
		return OUTCOME_unavailable;
	if (found == USERS_FOUND && !record->enabled) {
		*why = "the user is disabled in users.db";
		return OUTCOME_rejected;
	}
	if (!judge->can_judge(record)) {
		*why = found == USERS_FOUND
		           ? "users.db has no password of the user to judge this by"
		           : "users.db has no such user";
		return OUTCOME_unknown;
	}
	*why = reason;
	return is_true ? OUTCOME_accepted : OUTCOME_rejected;
}

// Whose certificate names a domain is the user of that domain, and no other: there is no
// password to tell which of two namesakes has come.  What users.db forbids the one without
// a domain, no namesake may do either; what it allows, only that one.
static bool is_namesake(const struct claim *claim, const struct account *account,
    enum users_found found, const struct user_record *record)
{
	return claim->kind == CLAIM_external && found == USERS_FOUND && record->enabled &&
	       account->domain.len && !record->has_domain;
}

static enum outcome leave_namesake(struct user_record *record, const char **why)
{
	unsigned methods = record->methods;
	user_record_done(record);
	record->methods = methods;
	*why = "users.db has a user of that name, but not of the certificate's domain";
	return OUTCOME_unknown;
}

enum outcome verify_users(struct users *users, const struct claim *claim,
    const struct account *account, struct user_record *out_record, const char **why)
{
	const struct judge *judge = find_judge(claim);
	*out_record = (struct user_record){.enabled = false};
	if (!judge || (claim->kind == CLAIM_ntlm && !claim->ntlm)) {
		*why = "a store's challenge was answered, which that store alone can judge";
		return OUTCOME_unknown;
	}
	enum users_found found =
	    users_look_up(users, account->domain, account->user, out_record, why);
	if (is_namesake(claim, account, found, out_record))
		return leave_namesake(out_record, why);
	enum outcome outcome = judge_record(judge, claim, found, out_record, why);
	if (outcome != OUTCOME_accepted && outcome != OUTCOME_unknown)
		user_record_done(out_record);
	return outcome;
}
