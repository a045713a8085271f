// claim.c: taking a claim in.  See claim.h.
#include "proxy/pop3/claim.h"

#include <stdlib.h>

#include "proxy/base/text.h"

// A CR LF in a name would be a second command to the store.
static bool can_be_sent(struct str part)
{
	return part.len && part.len <= CLAIM_PART_MAX && !str_has_control(part);
}

static void begin(struct claim *claim, enum claim_kind kind, const char *mechanism, struct str user)
{
	char *copy = str_dup(user);
	claim_done(claim);
	*claim = (struct claim){.kind = kind, .mechanism = mechanism, .user = {copy, user.len}};
}

bool claim_plain(struct claim *claim, const char *mechanism, struct str user, struct str password)
{
	if (!can_be_sent(user) || !can_be_sent(password))
		return false;
	begin(claim, CLAIM_plain, mechanism, user);
	secret_set(&claim->password, password);
	return true;
}

static bool begin_ntlm(
    struct claim *claim, const char *mechanism, const struct ntlm_exchange *exchange)
{
	char room[CLAIM_PART_MAX + 1];
	struct text user = TEXT(room);
	struct str domain = ntlm_exchange_domain(exchange);
	if (domain.len) {
		text_add(&user, domain);
		text_add_char(&user, '\\');
	}
	text_add(&user, ntlm_exchange_user(exchange));
	if (user.truncated)
		return false;
	begin(claim, CLAIM_ntlm, mechanism, text_str(&user));
	claim->variant = ntlm_level_name(ntlm_exchange_level(exchange));
	return true;
}

bool claim_ntlm(struct claim *claim, const char *mechanism, struct ntlm_exchange **exchange)
{
	if (!begin_ntlm(claim, mechanism, *exchange))
		return false;
	claim->ntlm = *exchange;
	*exchange = NULL;
	return true;
}

bool claim_relayed(struct claim *claim, const char *mechanism, const struct ntlm_exchange *exchange,
    struct str token)
{
	if (!begin_ntlm(claim, mechanism, exchange))
		return false;
	secret_set(&claim->token, token);
	return true;
}

bool claim_digest(struct claim *claim, const char *mechanism, enum digest_how how,
    struct str challenge, struct str text)
{
	struct str user;
	struct digest digest = {.how = how};
	if (!digest_parse(text, &user, digest.response) || !can_be_sent(user))
		return false;
	digest.challenge = (struct str){str_dup(challenge), challenge.len};
	begin(claim, CLAIM_digest, mechanism, user);
	claim->digest = digest;
	return true;
}

bool claim_external(struct claim *claim, const char *mechanism, struct str user)
{
	if (!can_be_sent(user))
		return false;
	begin(claim, CLAIM_external, mechanism, user);
	return true;
}

void claim_forget_password(struct claim *claim)
{
	secret_done(&claim->password);
	ntlm_exchange_free(&claim->ntlm);
	secret_done(&claim->token);
	free((char *)claim->digest.challenge.at);
	explicit_bzero(&claim->digest, sizeof(claim->digest));
}

void claim_done(struct claim *claim)
{
	claim_forget_password(claim);
	free((char *)claim->user.at);
	*claim = (struct claim){0};
}
