// ntlm_client_test.c: what we say as a client: the responses of [MS-NLMP] section
// 4.2, our own server and libntlm as judges, and what cannot be said to a store.
//
// libntlm is a client here too, whose messages our server takes where NTLMv1 is
// allowed.
#include "tests/kit/check.h"

#include <ntlm.h>

#include "proxy/pop3/ntlm/avpair.h"
#include "proxy/pop3/ntlm/client.h"
#include "tests/kit/ntlm.h"

enum { ROOM = NTLM_MESSAGE_MAX + 1 };

#define BINDING STR("the very binding")

static const struct ntlm_client vector = {
    .user = {"User", 4},
    .domain = {"Domain", 6},
    .password = {"Password", 8},
    .workstation = {"COMPUTER", 8},
    .nonce = {0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa},
};

static struct ntlm_settings server(void)
{
	return (struct ntlm_settings){
	    .domain = STR("MAIL"),
	    .computer = STR("POP"),
	    .channel_binding = NTLM_BINDING_allow,
	    .filetime = 0x01d4f55cf64af500,
	    .challenge = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
	};
}

// ---- type 1 -------------------------------------------------------------

static void test_negotiate(void **state)
{
	static const struct {
		bool v1;
		const char *hex;
	} rows[] = {
	    {false, "4e544c4d5353500001000000"
	            "07828800"
	            "00000000000000000000000000000000"
	            "0000000000000000"},
	    {true, "4e544c4d5353500001000000"
	           "07820000"
	           "00000000000000000000000000000000"
	           "0000000000000000"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char rooms[2][128];
		struct text found = TEXT(rooms[0]), wanted = TEXT(rooms[1]);
		struct ntlm_client client = vector;
		client.v1 = rows[i].v1;
		ntlm_client_negotiate(&client, &found);
		check_str(
		    str_of(rows[i].hex), text_str(&found), ntlm_from_hex(rows[i].hex, &wanted));
	}
}

// ---- responses ----------------------------------------------------------

static struct ntlm_authenticate answer(
    const struct ntlm_client *client, struct str challenge, struct text *out)
{
	char room[64];
	struct text negotiate = TEXT(room);
	struct ntlm_authenticate message;
	const char *why = NULL;
	ntlm_client_negotiate(client, &negotiate);
	assert_true(ntlm_client_authenticate(client, text_str(&negotiate), challenge, out, &why));
	assert_true(ntlm_parse_authenticate(text_str(out), &message, &why));
	return message;
}

// The challenges have no time, so ours (0) is taken, and there is no MIC.
static void test_vectors(void **state)
{
	static const struct {
		bool v1;
		const char *challenge, *authenticate;
	} rows[] = {
	    {true, NLMP_V1_CHALLENGE, NLMP_V1_AUTHENTICATE},
	    {false, NLMP_V2_CHALLENGE, NLMP_V2_AUTHENTICATE},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char rooms[2][ROOM];
		struct text text = TEXT(rooms[0]), out = TEXT(rooms[1]);
		struct ntlm_client client = vector;
		struct ntlm_authenticate wanted;
		const char *why = NULL;
		client.v1 = rows[i].v1;
		struct ntlm_authenticate found =
		    answer(&client, ntlm_from_hex(rows[i].challenge, &text), &out);
		assert_true(ntlm_parse_authenticate(
		    ntlm_from_hex(rows[i].authenticate, &text), &wanted, &why));
		check_str(STR("nt"), found.nt, wanted.nt);
		check_str(STR("user"), found.user, wanted.user);
		check_str(STR("domain"), found.domain, wanted.domain);
		check_str(STR("workstation"), found.workstation, wanted.workstation);
		check_str(STR("key"), found.key, STR(""));
		assert_false(found.has_mic);
	}
}

// An LM response would tell the password nearly as well as the password does.
static void test_no_lm(void **state)
{
	static const char zeros[NTLM_RESPONSE];
	const struct str none = {zeros, sizeof(zeros)};
	char rooms[2][ROOM];
	struct text text = TEXT(rooms[0]), out = TEXT(rooms[1]);
	struct ntlm_client client = vector;
	(void)state;
	struct str challenge = ntlm_from_hex(NLMP_V2_CHALLENGE, &text);
	struct ntlm_authenticate message = answer(&client, challenge, &out);
	check_str(STR("v2"), message.lm, none);
	out = TEXT(rooms[1]);
	client.v1 = true;
	message = answer(&client, challenge, &out);
	check_str(STR("v1"), message.lm, message.nt);
}

// ---- our server as judge ------------------------------------------------

struct row {
	const char *what;
	struct ntlm_client client;
	struct ntlm_settings settings;
	enum ntlm_level level; // that the server sees
	const char *password;  // that it knows
	struct str user, domain;
};

static void check_login(const struct row *row)
{
	char rooms[2][ROOM];
	struct text negotiate = TEXT(rooms[0]), out = TEXT(rooms[1]);
	uint8_t hash[NTLM_KEY];
	const char *why = NULL;
	struct str what = str_of(row->what);
	ntlm_client_negotiate(&row->client, &negotiate);
	struct ntlm_exchange *exchange =
	    ntlm_exchange_begin(&row->settings, text_str(&negotiate), &why);
	check(what, exchange);
	check(what, ntlm_client_authenticate(&row->client, text_str(&negotiate),
	                ntlm_exchange_challenge(exchange), &out, &why));
	check(what, ntlm_exchange_finish(exchange, text_str(&out), &why));
	check(what, ntlm_exchange_level(exchange) == row->level);
	check_str(what, ntlm_exchange_user(exchange), row->user);
	check_str(what, ntlm_exchange_domain(exchange), row->domain);
	assert_true(ntlm_nt_hash(str_of(row->password), hash));
	check(what, ntlm_exchange_prove(exchange, hash, &why));
	hash[0] ^= 1;
	check(what, !ntlm_exchange_prove(exchange, hash, &why));
	ntlm_exchange_free(&exchange);
}

static void test_logs_in(void **state)
{
	struct row usual = {"NTLMv2 with MIC", vector, server(), NTLM_LEVEL_v2, "Password",
	    STR("User"), STR("Domain")};
	struct row row = usual;
	(void)state;
	row.settings.require_mic = true;
	check_login(&row);
	row.what = "bound to the TLS channel";
	row.client.binding = row.settings.binding = BINDING;
	row.settings.channel_binding = NTLM_BINDING_require;
	check_login(&row);
	row = usual;
	row.what = "NTLMv1";
	row.client.v1 = true;
	row.settings.level = row.level = NTLM_LEVEL_v1;
	check_login(&row);
	row = usual;
	row.what = "no domain, no workstation";
	row.client.domain = row.domain = row.client.workstation = STR("");
	check_login(&row);
	row = usual;
	row.what = "beyond ASCII";
	row.client.user = row.user = STR("j\xc3\xb6rg");
	row.client.password = STR("p\xc3\xa4ssword\xe2\x82\xac");
	row.password = "p\xc3\xa4ssword\xe2\x82\xac";
	check_login(&row);
	row = usual;
	row.what = "empty password";
	row.client.password = STR("");
	row.password = "";
	check_login(&row);
}

// A store without Unicode: curl's test server.
static void test_oem(void **state)
{
	char rooms[2][ROOM];
	struct text text = TEXT(rooms[0]), out = TEXT(rooms[1]);
	struct ntlm_client client = vector;
	const char *why = NULL;
	(void)state;
	struct str challenge = ntlm_from_base64(CURL_CHALLENGE, &text);
	struct ntlm_authenticate message = answer(&client, challenge, &out);
	assert_int_equal(message.flags & (NTLM_UNICODE | NTLM_OEM), NTLM_OEM);
	check_str(STR("user"), message.user, STR("User"));
	check_str(STR("domain"), message.domain, STR("Domain"));
	out = TEXT(rooms[1]);
	client.user = STR("j\xc3\xb6rg");
	assert_false(ntlm_client_authenticate(&client, STR(""), challenge, &out, &why));
	assert_string_equal(why, "a name is too long, or no text of this store's");
}

// Time and names of the store come back; its binding, if it sent one, does not.
static void test_pairs(void **state)
{
	static const char info[] = "\2\0\2\0M\0"
	                           "\6\0\4\0\1\0\0\0"
	                           "\x0a\0\x10\0their own bindin"
	                           "\7\0\x08\0long ago"
	                           "\0\0\0";
	char rooms[2][ROOM];
	struct text challenge = TEXT(rooms[0]), out = TEXT(rooms[1]);
	struct ntlm_challenge sent = {.flags = NTLM_UNICODE | NTLM_TARGET_INFO,
	    .target = STR(""),
	    .info = {info, sizeof(info)}};
	struct ntlm_client client = vector;
	struct str value;
	(void)state;
	client.binding = BINDING;
	ntlm_write_challenge(&sent, &challenge);
	struct ntlm_authenticate message = answer(&client, text_str(&challenge), &out);
	struct str pairs = str_drop(message.nt, NTLM_KEY + 28);
	assert_true(ntlm_av_is_sound(pairs));
	assert_int_equal(ntlm_av_flags(pairs), 1 | NTLM_AV_FLAG_mic);
	assert_true(ntlm_av_find(pairs, NTLM_AV_domain, &value));
	check_str(STR("domain"), value, WIDE("M"));
	assert_true(ntlm_av_find(pairs, NTLM_AV_binding, &value));
	check_str(STR("binding"), value, BINDING);
	assert_true(ntlm_av_find(pairs, NTLM_AV_time, &value));
	check_str(STR("time"), value, STR("long ago"));
	check_str(STR("its place"), str_take(str_drop(message.nt, NTLM_KEY + 8), 8), value);
	assert_true(message.has_mic);
}

// ---- what cannot be said ------------------------------------------------

static void test_refused(void **state)
{
	static char long_name[300], challenge_room[ROOM];
	static const char names[] = "a name is too long, or no text of this store's";
	static const char v1[] = "a password that NTLMv1 cannot say";
	static const char v2[] = "the password is no UTF-8, or something is too long";
	struct str too_long = check_fill(long_name, sizeof(long_name), 'x', 256);
	struct str longest = check_fill(long_name, sizeof(long_name), 'x', 255);
	struct text text = TEXT(challenge_room);
	struct str challenge = ntlm_from_hex(NLMP_V2_CHALLENGE, &text);
	const struct {
		struct str user, domain, password, challenge;
		bool is_v1;
		const char *why; // NULL: it can
	} rows[] = {
	    {longest, longest, STR("x"), challenge, false, NULL},
	    {too_long, STR(""), STR("x"), challenge, false, names},
	    {STR("x"), too_long, STR("x"), challenge, false, names},
	    {STR("\xff"), STR(""), STR("x"), challenge, false, names},
	    {STR("x"), STR("\xe4"), STR("x"), challenge, false, names},
	    {STR("x"), STR(""), STR("p\xe4ss"), challenge, false, v2},
	    {STR("x"), STR(""), STR("p\xc3\xa4ss"), challenge, false, NULL},
	    {STR("x"), STR(""), STR("p\xc3\xa4ss"), challenge, true, v1},
	    {STR("x"), STR(""), STR(""), challenge, true, v1},
	    {STR("x"), STR(""), STR("x"), STR(""), false, "not an NTLM message of type 2"},
	    {STR("x"), STR(""), STR("x"), str_take(challenge, 60), false,
	        "type 2 points outside itself"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[ROOM];
		struct text out = TEXT(room);
		const char *why = NULL;
		struct ntlm_client client = {.user = rows[i].user,
		    .domain = rows[i].domain,
		    .password = rows[i].password,
		    .workstation = STR(""),
		    .v1 = rows[i].is_v1};
		bool said =
		    ntlm_client_authenticate(&client, STR(""), rows[i].challenge, &out, &why);
		check(rows[i].user, said == !rows[i].why);
		check_str(rows[i].password, str_of(why), str_of(rows[i].why));
	}
}

// A store whose pairs leave no room for an answer.
static void test_too_much(void **state)
{
	static char rooms[2][ROOM], pair[8000];
	struct text challenge = TEXT(rooms[0]), out = TEXT(rooms[1]);
	struct text info = TEXT(pair);
	struct ntlm_challenge sent = {.flags = NTLM_UNICODE | NTLM_TARGET_INFO, .target = STR("")};
	struct ntlm_client client = vector;
	static char value[7900];
	const char *why = NULL;
	(void)state;
	ntlm_av_add(&info, 99, check_fill(value, sizeof(value), 'x', sizeof(value)));
	ntlm_av_add(&info, NTLM_AV_end, STR(""));
	sent.info = text_str(&info);
	ntlm_write_challenge(&sent, &challenge);
	client.user = client.domain = check_fill(value, sizeof(value), 'x', 200);
	assert_false(ntlm_client_authenticate(&client, STR(""), text_str(&challenge), &out, &why));
	assert_string_equal(why, "type 3 would be too long");
}

// ---- libntlm ------------------------------------------------------------

// As a client of ours: fetchmail, mpop, mutt.
static void test_libntlm_logs_in(void **state)
{
	struct ntlm_settings settings = server();
	tSmbNtlmAuthRequest request;
	tSmbNtlmAuthChallenge challenge = {0};
	tSmbNtlmAuthResponse response;
	uint8_t hash[NTLM_KEY];
	const char *why = NULL;
	(void)state;
	settings.level = NTLM_LEVEL_v1;
	buildSmbNtlmAuthRequest_noatsplit(&request, "anna", "");
	struct ntlm_exchange *exchange = ntlm_exchange_begin(
	    &settings, (struct str){(const char *)&request, SmbLength(&request)}, &why);
	assert_non_null(exchange);
	struct str sent = ntlm_exchange_challenge(exchange);
	assert_in_range(sent.len, 48, sizeof(challenge) - 4);
	memcpy(&challenge, sent.at, sent.len);
	buildSmbNtlmAuthResponse_noatsplit(&challenge, &response, "anna", "secret");
	struct str said = {(const char *)&response, SmbLength(&response)};
	assert_true(ntlm_exchange_finish(exchange, said, &why));
	check_str(said, ntlm_exchange_user(exchange), STR("anna"));
	check_str(said, ntlm_exchange_domain(exchange), STR("MAIL")); // our TargetName
	assert_int_equal(ntlm_exchange_level(exchange), NTLM_LEVEL_v1);
	assert_true(ntlm_nt_hash(STR("secret"), hash));
	assert_true(ntlm_exchange_prove(exchange, hash, &why));
	assert_true(ntlm_nt_hash(STR("Secret"), hash));
	assert_false(ntlm_exchange_prove(exchange, hash, &why));
	ntlm_exchange_free(&exchange);
	settings.level = NTLM_LEVEL_ntlm2;
	exchange = ntlm_exchange_begin(
	    &settings, (struct str){(const char *)&request, SmbLength(&request)}, &why);
	assert_non_null(exchange);
	assert_false(ntlm_exchange_finish(exchange, said, &why));
	assert_string_equal(why, "NTLMv1 is not allowed");
	ntlm_exchange_free(&exchange);
}

// Its message and ours say the same, but for the LM response.
static void test_libntlm_agrees(void **state)
{
	char rooms[2][ROOM];
	struct text text = TEXT(rooms[0]), out = TEXT(rooms[1]);
	tSmbNtlmAuthChallenge challenge = {0};
	tSmbNtlmAuthResponse response;
	struct ntlm_client client = vector;
	struct ntlm_authenticate theirs;
	const char *why = NULL;
	(void)state;
	struct str sent = ntlm_from_base64(POP3_CHALLENGE, &text);
	memcpy(&challenge, sent.at, sent.len);
	buildSmbNtlmAuthResponse_noatsplit(&challenge, &response, "User", "Password");
	struct str said = {(const char *)&response, SmbLength(&response)};
	assert_true(ntlm_parse_authenticate(said, &theirs, &why));
	client.v1 = true;
	client.domain = STR("TESTSERVER");
	struct ntlm_authenticate ours = answer(&client, sent, &out);
	check_str(STR("nt"), ours.nt, theirs.nt);
	check_str(STR("user"), ours.user, theirs.user);
	check_str(STR("domain"), ours.domain, theirs.domain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_negotiate),
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_no_lm),
	    cmocka_unit_test(test_logs_in),
	    cmocka_unit_test(test_oem),
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_too_much),
	    cmocka_unit_test(test_libntlm_logs_in),
	    cmocka_unit_test(test_libntlm_agrees),
	};
	return cmocka_run_group_tests_name("ntlm_client", tests, NULL, NULL);
}
