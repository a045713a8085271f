// sasl_external.c: the mechanism EXTERNAL (RFC 4422 appendix A): the client's certificate,
// which TLS has judged, says who it is; one response, empty or with the name of whom it
// wants to act for.
//
// That may be nobody but a user whom the certificate names: acting for somebody else is
// the store's to allow, as in PLAIN.  Of several, an empty response means the first.
#include "proxy/pop3/sasl.h"

// NULL when the certificate does not name this user.
static const struct str *find(const struct sasl_settings *settings, struct str as)
{
	if (as.len > CLAIM_PART_MAX)
		return NULL;
	for (size_t i = 0; i < settings->num_certificate_users; i++)
		if (str_is_empty(as) || settings->is_same_user(as, settings->certificate_users[i]))
			return &settings->certificate_users[i];
	return NULL;
}

enum sasl_result sasl_external(
    struct sasl *sasl, const struct str *response, struct sasl_answer *answer)
{
	const struct sasl_settings *settings = sasl->settings;
	if (!response) {
		answer->challenge = STR("");
		return SASL_CHALLENGE;
	}
	const struct str *user = find(settings, *response);
	if (user && claim_external(answer->claim, mechanism_name(sasl->mechanism), *user))
		return SASL_CLAIM;
	answer->why = settings->no_certificate_user
	                  ? settings->no_certificate_user
	                  : "the client wants to act for a user whom its certificate does not name";
	answer->reply = REPLY_claim;
	return SASL_REFUSED;
}
