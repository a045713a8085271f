// sasl_login.c: the mechanism LOGIN, as Outlook and others have it
// (draft-murchison-sasl-login): the user's name, then the password.
//
// An initial response is taken as the user's name, which clients that send
// one mean by it.
#include "proxy/pop3/sasl.h"

static enum sasl_result ask(struct sasl_answer *answer, struct str prompt)
{
	answer->challenge = prompt;
	return SASL_CHALLENGE;
}

enum sasl_result sasl_login(
    struct sasl *sasl, const struct str *response, struct sasl_answer *answer)
{
	if (!response)
		return ask(answer, STR("Username:"));
	if (!sasl->kept.at) {
		secret_set(&sasl->kept, *response);
		return ask(answer, STR("Password:"));
	}
	if (claim_plain(answer->claim, "LOGIN", secret_reveal(&sasl->kept), *response))
		return SASL_CLAIM;
	answer->reply = REPLY_claim;
	return SASL_REFUSED;
}
