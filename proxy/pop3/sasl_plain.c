// sasl_plain.c: the mechanism PLAIN (RFC 4616): authorization identity, NUL,
// authentication identity, NUL, password, in one response.
//
// An authorization identity other than the user is refused: acting for
// somebody else is the store's to allow, and USER/PASS cannot ask for it.
#include "proxy/pop3/sasl.h"

static bool parse(struct str message, struct str *out_user, struct str *out_password)
{
	struct str as, rest;
	return str_cut(message, '\0', &as, &rest) && str_cut(rest, '\0', out_user, out_password) &&
	       (str_is_empty(as) || str_eq(as, *out_user));
}

enum sasl_result sasl_plain(
    struct sasl *sasl, const struct str *response, struct sasl_answer *answer)
{
	struct str user, password;
	(void)sasl;
	if (!response) {
		answer->challenge = STR("");
		return SASL_CHALLENGE;
	}
	if (parse(*response, &user, &password) &&
	    claim_plain(answer->claim, "PLAIN", user, password))
		return SASL_CLAIM;
	answer->reply = REPLY_claim;
	return SASL_REFUSED;
}
