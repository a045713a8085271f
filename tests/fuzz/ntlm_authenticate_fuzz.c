// ntlm_authenticate_fuzz.c: a client's type 3.  Of the first byte, the bits are what
// the listener wants: two for the level, two for the channel binding, one for a MIC,
// one for the service, one for who made the challenge ([MS-NLMP]'s or ours).
//
// Whatever the client says, what is taken is safe to hand on: names without control
// bytes and separators, a response of an allowed kind, bound if it must be; judging
// it reads nothing but the message.
#include "proxy/pop3/ntlm/message.h"
#include "tests/fuzz/fuzz.h"

static const char negotiate[] = "NTLMSSP\0\1\0\0\0\x37\x82\x88\xe2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

// Another server's, with names and time: "Server" of "Domain".
static const char challenge[] =
    "NTLMSSP\0\2\0\0\0\x0c\0\x0c\0\x38\0\0\0\x35\x82\x8a\xe2\x01\x23\x45\x67\x89\xab\xcd\xef"
    "\0\0\0\0\0\0\0\0\x30\0\x30\0\x44\0\0\0\x06\0\x70\x17\0\0\0\x0fS\0e\0r\0v\0e\0r\0"
    "\2\0\x0c\0D\0o\0m\0a\0i\0n\0\1\0\x0c\0S\0e\0r\0v\0e\0r\0\7\0\x08\0\0\0\x5a\xf6\x4c\xf5\xd4"
    "\1\0\0\0\0";

static struct ntlm_settings settings_of(uint8_t choice)
{
	static const struct str services[] = {{"mail.example", 12}};
	return (struct ntlm_settings){
	    .domain = STR("MAIL"),
	    .computer = STR("POP"),
	    .level = (choice & 3) % 3,
	    .channel_binding = (choice >> 2 & 3) % 3,
	    .require_mic = choice & 0x10,
	    .binding = STR("the very binding"),
	    .services = services,
	    .num_services = choice & 0x20 ? 1 : 0,
	    .filetime = 0x01d4f55cf64af500,
	    .challenge = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
	};
}

static struct ntlm_exchange *begin(const struct ntlm_settings *settings, bool relayed)
{
	const char *why = NULL;
	struct str type_1 = {negotiate, sizeof(negotiate)},
	           type_2 = {challenge, sizeof(challenge) - 1};
	if (!relayed)
		return ntlm_exchange_begin(settings, type_1, &why);
	struct ntlm_exchange *exchange = ntlm_exchange_relay(settings, type_1, &why);
	MUST(exchange && ntlm_exchange_take_challenge(exchange, type_2, &why));
	return exchange;
}

static void check_name(struct str name, struct str forbidden)
{
	MUST(!str_has_control(name));
	for (size_t i = 0; i < forbidden.len; i++)
		MUST(str_find(name, forbidden.at[i]) == name.len);
	while (name.len) {
		uint32_t code;
		MUST(str_take_code_point(&name, &code));
	}
}

static void check_taken(const struct ntlm_exchange *exchange, const struct ntlm_settings *settings)
{
	static const uint8_t key[NTLM_KEY] = "any key";
	const char *why = NULL;
	struct str user = ntlm_exchange_user(exchange), domain = ntlm_exchange_domain(exchange);
	MUST(user.len > 0);
	check_name(user, domain.len ? STR("\\/:@") : STR("\\/:"));
	check_name(domain, STR("\\/:@"));
	check_name(ntlm_exchange_workstation(exchange), STR(""));
	enum ntlm_level level = ntlm_exchange_level(exchange);
	MUST(level <= settings->level);
	MUST(level == NTLM_LEVEL_v2 ||
	     (!settings->require_mic && settings->channel_binding != NTLM_BINDING_require));
	struct ntlm_question question = ntlm_exchange_question(exchange);
	MUST((level == NTLM_LEVEL_v2) == (question.nt.len > NTLM_RESPONSE));
	bool proven = ntlm_exchange_prove(exchange, key, &why);
	MUST(proven || why);
	bool confirmed = ntlm_exchange_confirm(exchange, key, &why);
	MUST(confirmed || level == NTLM_LEVEL_v2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	if (size < 1)
		return 0;
	struct ntlm_settings settings = settings_of(data[0]);
	struct ntlm_exchange *exchange = begin(&settings, data[0] & 0x40);
	MUST(exchange);
	struct str authenticate = {(const char *)data + 1, size - 1};
	if (ntlm_exchange_finish(exchange, authenticate, &why))
		check_taken(exchange, &settings);
	else
		MUST(why);
	ntlm_exchange_free(&exchange);
	return 0;
}
