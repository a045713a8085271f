// helper_domain.c: a challenge of ntlm_auth's.  See helper_domain.h.
#include "backends/verify/helper_domain.h"

#include <openssl/base64.h>

#include "proxy/pop3/ntlm/exchange.h"
#include "proxy/pop3/ntlm/message.h"
#include "proxy/pop3/ntlm/unicode.h"

// Type 1: Unicode, NTLM, and the name of the domain is wanted.
struct str helper_domain_question(void)
{
	return STR("YR TlRMTVNTUAABAAAABQIAAAAAAAAAAAAAAAAAAAAAAAA=\n");
}

bool helper_domain_parse(struct str answer, struct text *out)
{
	uint8_t message[NTLM_MESSAGE_MAX];
	struct ntlm_challenge challenge;
	struct str word, token;
	const char *why;
	size_t len;
	str_cut(answer, '\n', &answer, &token);
	str_cut(answer, ' ', &word, &token);
	return str_eq(word, STR("TT")) &&
	       EVP_DecodeBase64(
	           message, &len, sizeof(message), (const uint8_t *)token.at, token.len) &&
	       ntlm_parse_challenge((struct str){(const char *)message, len}, &challenge, &why) &&
	       ntlm_utf8_from(challenge.target, challenge.flags & NTLM_UNICODE, out);
}
