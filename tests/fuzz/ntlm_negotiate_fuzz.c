// ntlm_negotiate_fuzz.c: a client's type 1, and the challenge that we make of it.
//
// Whatever the client says: our challenge is well-formed, says what we are, and
// agrees to nothing that was not offered; both ways to an exchange take the same
// messages; what the client calls its domain can be looked at.
#include "proxy/pop3/ntlm/message.h"
#include "tests/fuzz/fuzz.h"

static const struct ntlm_settings settings = {
    .domain = {"MAIL", 4},
    .computer = {"POP", 3},
    .dns_domain = {"mail.example", 12},
    .challenge = {1, 2, 3, 4, 5, 6, 7, 8},
};

static void check_challenge(struct str negotiate, struct str challenge)
{
	const uint32_t always =
	    NTLM_NTLM | NTLM_REQUEST_TARGET | NTLM_TARGET_INFO | NTLM_TARGET_IS_DOMAIN;
	struct ntlm_negotiate offered;
	struct ntlm_challenge sent;
	const char *why = NULL;
	MUST(ntlm_parse_negotiate(negotiate, &offered, &why));
	MUST(ntlm_parse_challenge(challenge, &sent, &why));
	MUST(!(sent.flags & ~always & ~offered.flags) && (sent.flags & always) == always);
	MUST(!(sent.flags & NTLM_UNICODE) != !(sent.flags & NTLM_OEM));
	MUST(memcmp(sent.challenge, settings.challenge, sizeof(sent.challenge)) == 0);
	MUST(sent.target.len == (sent.flags & NTLM_UNICODE ? 8 : 4) && sent.info.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str negotiate = {(const char *)data, size};
	const char *why = NULL, *why_not = NULL;
	struct ntlm_exchange *ours = ntlm_exchange_begin(&settings, negotiate, &why);
	struct ntlm_exchange *relayed = ntlm_exchange_relay(&settings, negotiate, &why_not);
	MUST(!ours == !relayed && !ours == !!why && why == why_not);
	if (ours) {
		check_challenge(negotiate, ntlm_exchange_challenge(ours));
		MUST(!str_has_control(ntlm_exchange_offered_domain(relayed)));
	}
	ntlm_exchange_free(&ours);
	ntlm_exchange_free(&relayed);
	return 0;
}
