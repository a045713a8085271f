// sasl_cram_md5.c: the mechanism CRAM-MD5 (RFC 2195): a challenge of ours, then
// the user's name and the keyed digest of the challenge.
//
// The server speaks first: an initial response is refused (RFC 5034 section 4).
#include "proxy/pop3/sasl.h"

static enum sasl_result challenge(struct sasl *sasl, struct sasl_answer *answer)
{
	char room[DIGEST_ROOM];
	struct text text = TEXT(room);
	digest_add_challenge(&text, sasl->settings->random, sasl->settings->host);
	secret_set(&sasl->kept, text_str(&text));
	answer->challenge = secret_reveal(&sasl->kept);
	return SASL_CHALLENGE;
}

enum sasl_result sasl_cram_md5(
    struct sasl *sasl, const struct str *response, struct sasl_answer *answer)
{
	if (!response)
		return challenge(sasl, answer);
	if (sasl->kept.at && claim_digest(answer->claim, "CRAM-MD5", DIGEST_cram_md5,
	                         secret_reveal(&sasl->kept), *response))
		return SASL_CLAIM;
	answer->reply = REPLY_claim;
	return SASL_REFUSED;
}
