// sasl_ntlm.c: the mechanism NTLM ([MS-POP3], [MS-OXPOP3]), and MSN, its old name:
// an empty challenge, type 1, type 2, type 3.
//
// The challenge is ours, or a store's: then the session fetches it between type 1
// and type 2, and the claim is type 3 as it came.  What the messages must hold to
// is the same either way (proxy/pop3/ntlm/exchange.h).
#include "proxy/pop3/sasl.h"

#include "proxy/base/die.h"

static enum sasl_result refuse(struct sasl_answer *answer)
{
	answer->reply = REPLY_claim;
	return SASL_REFUSED;
}

static enum sasl_result challenge(struct sasl *sasl, struct sasl_answer *answer)
{
	answer->challenge = ntlm_exchange_challenge(sasl->ntlm);
	return SASL_CHALLENGE;
}

static enum sasl_result take_negotiate(
    struct sasl *sasl, struct str negotiate, struct sasl_answer *answer)
{
	const struct sasl_settings *settings = sasl->settings;
	sasl->ntlm = settings->ntlm_relayed
	                 ? ntlm_exchange_relay(settings->ntlm, negotiate, &answer->why)
	                 : ntlm_exchange_begin(settings->ntlm, negotiate, &answer->why);
	if (!sasl->ntlm)
		return refuse(answer);
	if (!settings->ntlm_relayed)
		return challenge(sasl, answer);
	secret_set(&sasl->kept, negotiate);
	answer->token = secret_reveal(&sasl->kept);
	answer->domain = ntlm_exchange_offered_domain(sasl->ntlm);
	return SASL_ASK;
}

// What a store says that is no challenge is not the client's fault.
enum sasl_result sasl_relay(
    struct sasl *sasl, struct str store_challenge, struct sasl_answer *answer)
{
	BUG_ON(!sasl->ntlm);
	if (ntlm_exchange_take_challenge(sasl->ntlm, store_challenge, &answer->why))
		return challenge(sasl, answer);
	answer->reply = REPLY_unavailable;
	return SASL_REFUSED;
}

static enum sasl_result take_authenticate(
    struct sasl *sasl, struct str authenticate, struct sasl_answer *answer)
{
	const char *name = mechanism_name(sasl->mechanism);
	if (!ntlm_exchange_finish(sasl->ntlm, authenticate, &answer->why))
		return refuse(answer);
	bool made = sasl->settings->ntlm_relayed
	                ? claim_relayed(answer->claim, name, sasl->ntlm, authenticate)
	                : claim_ntlm(answer->claim, name, &sasl->ntlm);
	if (made)
		return SASL_CLAIM;
	answer->why = "domain and user are too long together";
	return refuse(answer);
}

enum sasl_result sasl_ntlm(
    struct sasl *sasl, const struct str *response, struct sasl_answer *answer)
{
	if (!response) {
		answer->challenge = STR("");
		return SASL_CHALLENGE;
	}
	return sasl->ntlm ? take_authenticate(sasl, *response, answer)
	                  : take_negotiate(sasl, *response, answer);
}
