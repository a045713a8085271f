// ntlm_challenge_fuzz.c: a store's type 2, answered by us as a client, and passed on
// to one.  The first byte chooses NTLMv1 and a channel binding.
//
// Whatever the store says: our answer is well-formed, says who we are and no more of
// the password than it must, and fits; an exchange takes what the client takes.
#include "proxy/pop3/ntlm/client.h"
#include "proxy/pop3/ntlm/message.h"
#include "tests/fuzz/fuzz.h"

static void check_answer(const struct ntlm_client *client, struct str answer)
{
	struct ntlm_authenticate said;
	const char *why = NULL;
	MUST(answer.len <= NTLM_MESSAGE_MAX && ntlm_parse_authenticate(answer, &said, &why));
	MUST(!(said.flags & NTLM_UNICODE) != !(said.flags & NTLM_OEM));
	size_t width = said.flags & NTLM_UNICODE ? 2 : 1;
	MUST(said.user.len == width * client->user.len);
	MUST(said.domain.len == width * client->domain.len);
	MUST(said.lm.len == NTLM_RESPONSE && said.key.len == 0);
	MUST(client->v1 == (said.nt.len == NTLM_RESPONSE));
	for (size_t i = 0; !client->v1 && i < said.lm.len; i++)
		MUST(said.lm.at[i] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ntlm_settings settings = {.level = NTLM_LEVEL_v1};
	char type_1[64], type_3[NTLM_MESSAGE_MAX + 1];
	struct text negotiate = TEXT(type_1), answer = TEXT(type_3);
	const char *why = NULL, *why_not = NULL;
	if (size < 1)
		return 0;
	struct str challenge = {(const char *)data + 1, size - 1};
	struct ntlm_client client = {
	    .user = STR("anna"),
	    .domain = STR("MAIL"),
	    .password = STR("secret"),
	    .workstation = STR("popgate"),
	    .v1 = data[0] & 1,
	    .binding = data[0] & 2 ? STR("the very binding") : STR(""),
	};
	ntlm_client_negotiate(&client, &negotiate);
	bool answered =
	    ntlm_client_authenticate(&client, text_str(&negotiate), challenge, &answer, &why);
	MUST(answered == !why);
	if (answered)
		check_answer(&client, text_str(&answer));
	struct ntlm_exchange *exchange =
	    ntlm_exchange_relay(&settings, text_str(&negotiate), &why_not);
	MUST(exchange);
	bool taken = ntlm_exchange_take_challenge(exchange, challenge, &why_not);
	MUST(taken || !answered);
	MUST(!taken || str_eq(ntlm_exchange_challenge(exchange), challenge));
	ntlm_exchange_free(&exchange);
	return 0;
}
