// login_test.c: dialogues of all login methods with good, odd and hostile stores:
// what is said, how it ends, and what the store knows by then.
#include "tests/kit/check.h"

#include <openssl/base64.h>

#include "backends/login/login.h"
#include "proxy/pop3/ntlm/crypto.h"
#include "proxy/pop3/ntlm/exchange.h"

enum { LINES = 5 };

// A dialogue: the store's greeting and lines, and what it is told by each.  The
// first said text that is not given is not looked at.
struct row {
	const char *name;
	enum backend_login method;
	const char *separator, *ntlm_domain;
	enum client_address client_address;
	enum capability capabilities;
	struct str user, password, token;
	bool is_stranger; // verified by nobody
	struct str lines[LINES];
	struct str said[LINES];
	enum login_result result;
	enum login_stage stage;
};

#define ANNA .user = STR("anna"), .password = STR("a secret")
#define GREETING STR("+OK hi")
#define PIPELINED .capabilities = CAPABILITY_pipelining
#define TOGETHER STR("USER anna\r\nPASS a secret\r\n")
#define ASKED LOGIN_ASKED
#define NAMED LOGIN_NAMED
#define FRESH LOGIN_FRESH
#define BOUND LOGIN_BOUND

// RFC 1939 section 7 and RFC 2195 section 2.
#define MROSE .user = STR("mrose"), .password = STR("tanstaaf")
#define TIMESTAMP STR("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>")
#define APOP STR("APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n")
#define TIM .user = STR("tim"), .password = STR("tanstaaftanstaaf")
#define CRAM_CHALLENGE STR("+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+")
#define CRAM_ANSWER STR("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n")
#define AUTH_CRAM STR("AUTH CRAM-MD5\r\n")
#define AUTH_PLAIN STR("AUTH PLAIN\r\n")
#define AUTH_NTLM STR("AUTH NTLM\r\n")
#define PLAIN_ANNA STR("AGFubmEAYSBzZWNyZXQ=\r\n")
#define TOKEN .token = STR("type 1")
#define TYPE_1 STR("dHlwZSAx\r\n")
#define TYPE_2 STR("+ dHlwZSAy")

static const char endless[LOGIN_LINE_MAX] = {[0 ... LOGIN_LINE_MAX - 1] = 'x'};

static const struct row rows[] = {
    {"pass", BACKEND_LOGIN_pass, ANNA, .lines = {GREETING, STR("+OK"), STR("+OK in")},
        .said = {STR("USER anna\r\n"), STR("PASS a secret\r\n")}, .result = LOGIN_ACCEPTED,
        .stage = ASKED},
    {"pass, unknown user", BACKEND_LOGIN_pass, ANNA,
        .lines = {GREETING, STR("-ERR [AUTH] Invalid user")}, .result = LOGIN_REFUSED,
        .stage = NAMED},
    {"pass, wrong password", BACKEND_LOGIN_pass, ANNA,
        .lines = {GREETING, STR("+OK"), STR("-ERR no")}, .result = LOGIN_REFUSED, .stage = ASKED},
    {"pass, prompt instead of yes", BACKEND_LOGIN_pass, ANNA, .lines = {GREETING, STR("+ ")},
        .result = LOGIN_BROKEN, .stage = NAMED},
    {"pass, prompt instead of a verdict", BACKEND_LOGIN_pass, ANNA,
        .lines = {GREETING, STR("+OK"), STR("+ more")}, .result = LOGIN_BROKEN, .stage = ASKED},
    {"pass, babble", BACKEND_LOGIN_pass, ANNA, .lines = {GREETING, STR("* OK IMAP4rev1")},
        .result = LOGIN_BROKEN, .stage = NAMED},
    {"pass, empty line", BACKEND_LOGIN_pass, ANNA, .lines = {GREETING, STR("")},
        .result = LOGIN_BROKEN, .stage = NAMED},
    {"pass, two commands in a name", BACKEND_LOGIN_pass, .user = STR("anna\r\nDELE 1"),
        .password = STR("x"), .result = LOGIN_REFUSED},
    {"pass, two commands in a password", BACKEND_LOGIN_pass, .user = STR("anna"),
        .password = STR("x\r\nDELE 1"), .result = LOGIN_BROKEN},
    {"pass, no user", BACKEND_LOGIN_pass, .password = STR("x"), .result = LOGIN_REFUSED},
    {"pass, no password known", BACKEND_LOGIN_pass, .user = STR("anna"), .result = LOGIN_BROKEN},

    {"pipelined", BACKEND_LOGIN_pass, ANNA, PIPELINED,
        .lines = {GREETING, STR("+OK"), STR("+OK in")}, .said = {TOGETHER, STR("")},
        .result = LOGIN_ACCEPTED, .stage = ASKED},
    {"pipelined, unknown user", BACKEND_LOGIN_pass, ANNA, PIPELINED,
        .lines = {GREETING, STR("-ERR [AUTH] Invalid user")}, .said = {TOGETHER},
        .result = LOGIN_REFUSED, .stage = ASKED},
    {"pipelined, wrong password", BACKEND_LOGIN_pass, ANNA, PIPELINED,
        .lines = {GREETING, STR("+OK"), STR("-ERR no")}, .said = {TOGETHER, STR("")},
        .result = LOGIN_REFUSED, .stage = ASKED},
    {"pipelined, prompt instead of yes", BACKEND_LOGIN_pass, ANNA, PIPELINED,
        .lines = {GREETING, STR("+ ")}, .result = LOGIN_BROKEN, .stage = ASKED},
    {"pipelined, babble instead of a verdict", BACKEND_LOGIN_pass, ANNA, PIPELINED,
        .lines = {GREETING, STR("+OK"), STR("* OK")}, .result = LOGIN_BROKEN, .stage = ASKED},
    {"pipelined, too long to be told together", BACKEND_LOGIN_pass, PIPELINED, .user = STR("anna"),
        .password = {endless, sizeof(endless)}, .lines = {GREETING}, .result = LOGIN_BROKEN,
        .stage = NAMED},
    {"pipelined, nothing that could be", BACKEND_LOGIN_plain, ANNA, PIPELINED,
        .lines = {GREETING, STR("+ "), STR("+OK")}, .said = {AUTH_PLAIN, PLAIN_ANNA},
        .result = LOGIN_ACCEPTED, .stage = ASKED},

    {"stored", BACKEND_LOGIN_stored, ANNA, .lines = {GREETING, STR("+OK"), STR("+OK")},
        .said = {STR("USER anna\r\n"), STR("PASS a secret\r\n")}, .result = LOGIN_ACCEPTED,
        .stage = ASKED},
    {"stored, stranger", BACKEND_LOGIN_stored, ANNA, .is_stranger = true, .result = LOGIN_BROKEN},

    {"plain", BACKEND_LOGIN_plain, ANNA, .lines = {GREETING, STR("+ "), STR("+OK")},
        .said = {AUTH_PLAIN, PLAIN_ANNA}, .result = LOGIN_ACCEPTED, .stage = ASKED},
    {"plain, bare plus", BACKEND_LOGIN_plain, ANNA, .lines = {GREETING, STR("+"), STR("-ERR no")},
        .said = {AUTH_PLAIN, PLAIN_ANNA}, .result = LOGIN_REFUSED, .stage = ASKED},
    {"plain, unknown", BACKEND_LOGIN_plain, ANNA, .lines = {GREETING, STR("-ERR what?")},
        .result = LOGIN_BROKEN, .stage = FRESH},

    {"apop", BACKEND_LOGIN_apop, MROSE, .lines = {TIMESTAMP, STR("+OK")}, .said = {APOP},
        .result = LOGIN_ACCEPTED, .stage = ASKED},
    {"apop, wrong password", BACKEND_LOGIN_apop, MROSE, .lines = {TIMESTAMP, STR("-ERR no")},
        .said = {APOP}, .result = LOGIN_REFUSED, .stage = ASKED},
    {"apop, no timestamp", BACKEND_LOGIN_apop, MROSE, .lines = {GREETING}, .result = LOGIN_BROKEN},
    {"apop, no message id", BACKEND_LOGIN_apop, MROSE, .lines = {STR("+OK <hello>")},
        .result = LOGIN_BROKEN},
    {"apop, unfinished", BACKEND_LOGIN_apop, MROSE, .lines = {STR("+OK <a@b")},
        .result = LOGIN_BROKEN},

    {"cram-md5", BACKEND_LOGIN_cram_md5, TIM, .lines = {GREETING, CRAM_CHALLENGE, STR("+OK")},
        .said = {AUTH_CRAM, CRAM_ANSWER}, .result = LOGIN_ACCEPTED, .stage = ASKED},
    {"cram-md5, wrong password", BACKEND_LOGIN_cram_md5, TIM,
        .lines = {GREETING, CRAM_CHALLENGE, STR("-ERR [AUTH] no")}, .result = LOGIN_REFUSED,
        .stage = ASKED},
    {"cram-md5, unknown", BACKEND_LOGIN_cram_md5, TIM, .lines = {GREETING, STR("-ERR what?")},
        .result = LOGIN_BROKEN, .stage = FRESH},
    {"cram-md5, yes without a challenge", BACKEND_LOGIN_cram_md5, TIM,
        .lines = {GREETING, STR("+OK")}, .result = LOGIN_BROKEN, .stage = FRESH},
    {"cram-md5, bare plus", BACKEND_LOGIN_cram_md5, TIM, .lines = {GREETING, STR("+")},
        .result = LOGIN_BROKEN, .stage = FRESH},
    {"cram-md5, empty challenge", BACKEND_LOGIN_cram_md5, TIM, .lines = {GREETING, STR("+ ")},
        .result = LOGIN_BROKEN, .stage = FRESH},
    {"cram-md5, no base64", BACKEND_LOGIN_cram_md5, TIM, .lines = {GREETING, STR("+ <a@b>")},
        .result = LOGIN_BROKEN, .stage = FRESH},
    {"cram-md5, base64 and a space", BACKEND_LOGIN_cram_md5, TIM,
        .lines = {GREETING, STR("+ PGFAYj4= ")}, .result = LOGIN_BROKEN, .stage = FRESH},
    {"cram-md5, half of base64", BACKEND_LOGIN_cram_md5, TIM, .lines = {GREETING, STR("+ PGFAYj4")},
        .result = LOGIN_BROKEN, .stage = FRESH},
    {"cram-md5, another challenge", BACKEND_LOGIN_cram_md5, TIM,
        .lines = {GREETING, CRAM_CHALLENGE, CRAM_CHALLENGE}, .result = LOGIN_BROKEN,
        .stage = ASKED},

    {"master", BACKEND_LOGIN_master, .separator = "*", .user = STR("anna"),
        .lines = {GREETING, STR("+OK"), STR("+OK")},
        .said = {STR("USER anna*boss\r\n"), STR("PASS all mine\r\n")}, .result = LOGIN_ACCEPTED,
        .stage = ASKED},
    {"master, refused", BACKEND_LOGIN_master, .separator = "*", .user = STR("anna"),
        .lines = {GREETING, STR("+OK"), STR("-ERR")}, .result = LOGIN_REFUSED, .stage = ASKED},
    {"master, stranger", BACKEND_LOGIN_master, .separator = "*", ANNA, .is_stranger = true,
        .result = LOGIN_BROKEN},
    {"master, name with separator", BACKEND_LOGIN_master, .separator = "*",
        .user = STR("anna*bert"), .result = LOGIN_REFUSED},
    {"master, name with half a separator", BACKEND_LOGIN_master, .separator = "**",
        .user = STR("anna*"), .lines = {GREETING, STR("+OK"), STR("+OK")},
        .said = {STR("USER anna***boss\r\n")}, .result = LOGIN_ACCEPTED, .stage = ASKED},
    {"master by authorization", BACKEND_LOGIN_master, .separator = "", .user = STR("anna"),
        .lines = {GREETING, STR("+ "), STR("+OK")},
        .said = {AUTH_PLAIN, STR("YW5uYQBib3NzAGFsbCBtaW5l\r\n")}, .result = LOGIN_ACCEPTED,
        .stage = ASKED},
    {"master by authorization, stranger", BACKEND_LOGIN_master, .separator = "", ANNA,
        .is_stranger = true, .result = LOGIN_BROKEN},

    {"xclient", BACKEND_LOGIN_pass, ANNA, .client_address = CLIENT_ADDRESS_xclient,
        .lines = {STR("+OK [XCLIENT] hi"), STR("+OK Updated"), STR("+OK"), STR("+OK")},
        .said = {STR("XCLIENT ADDR=2001:db8::1 PORT=40000 SESSION=00000000000000ab\r\n"),
            STR("USER anna\r\n"), STR("PASS a secret\r\n")},
        .result = LOGIN_ACCEPTED, .stage = ASKED},
    {"xclient, then pipelined", BACKEND_LOGIN_pass, ANNA, PIPELINED,
        .client_address = CLIENT_ADDRESS_xclient,
        .lines = {STR("+OK [XCLIENT] hi"), STR("+OK Updated"), STR("+OK"), STR("+OK")},
        .said = {STR("XCLIENT ADDR=2001:db8::1 PORT=40000 SESSION=00000000000000ab\r\n"), TOGETHER,
            STR("")},
        .result = LOGIN_ACCEPTED, .stage = ASKED},
    {"xclient, not offered", BACKEND_LOGIN_pass, ANNA, .client_address = CLIENT_ADDRESS_xclient,
        .lines = {STR("+OK hi [XCLIENT]")}, .result = LOGIN_BROKEN},
    {"xclient, refused", BACKEND_LOGIN_pass, ANNA, .client_address = CLIENT_ADDRESS_xclient,
        .lines = {STR("+OK [XCLIENT] hi"), STR("-ERR Invalid parameters")}, .result = LOGIN_BROKEN},
    {"xclient, prompt", BACKEND_LOGIN_pass, ANNA, .client_address = CLIENT_ADDRESS_xclient,
        .lines = {STR("+OK [XCLIENT] hi"), STR("+ ")}, .result = LOGIN_BROKEN},
    {"xclient and apop", BACKEND_LOGIN_apop, MROSE, .client_address = CLIENT_ADDRESS_xclient,
        .lines = {STR("+OK [XCLIENT] <1896.697170952@dbc.mtview.ca.us>"), STR("+OK"), STR("+OK")},
        .said = {STR("XCLIENT ADDR=2001:db8::1 PORT=40000 SESSION=00000000000000ab\r\n"), APOP},
        .result = LOGIN_ACCEPTED, .stage = ASKED},

    {"ntlm, unknown", BACKEND_LOGIN_ntlm, ANNA, .lines = {GREETING, STR("-ERR what?")},
        .said = {AUTH_NTLM}, .result = LOGIN_BROKEN, .stage = FRESH},
    {"ntlm, type 1 refused", BACKEND_LOGIN_ntlm, ANNA,
        .lines = {GREETING, STR("+ "), STR("-ERR no")}, .result = LOGIN_BROKEN, .stage = FRESH},
    {"ntlm, yes without a challenge", BACKEND_LOGIN_ntlm, ANNA,
        .lines = {GREETING, STR("+OK"), STR("+OK")}, .result = LOGIN_BROKEN, .stage = FRESH},
    {"ntlm, no type 2", BACKEND_LOGIN_ntlm, ANNA, .lines = {GREETING, STR("+ "), TYPE_2},
        .result = LOGIN_BROKEN, .stage = NAMED},
    {"ntlm, no base64", BACKEND_LOGIN_ntlm, ANNA, .lines = {GREETING, STR("+ "), STR("+ ???")},
        .result = LOGIN_BROKEN, .stage = FRESH},
    {"ntlm, no UTF-8 in a name", BACKEND_LOGIN_ntlm, .user = STR("\xe4"), .password = STR("x"),
        .result = LOGIN_REFUSED},
    {"ntlm, no UTF-8 in a password", BACKEND_LOGIN_ntlm, .user = STR("anna"),
        .password = STR("\xe4"), .result = LOGIN_REFUSED},

    {"relayed", BACKEND_LOGIN_pass, TOKEN, .lines = {GREETING, STR("+ "), TYPE_2},
        .said = {AUTH_NTLM, TYPE_1, STR("type 2")}, .result = LOGIN_CHALLENGED, .stage = BOUND},
    {"relayed, bare plus", BACKEND_LOGIN_pass, TOKEN, .lines = {GREETING, STR("+"), TYPE_2},
        .said = {AUTH_NTLM, TYPE_1}, .result = LOGIN_CHALLENGED, .stage = BOUND},
    {"relayed, plus and text", BACKEND_LOGIN_pass, TOKEN,
        .lines = {GREETING, STR("+ go ahead"), TYPE_2}, .said = {AUTH_NTLM, TYPE_1},
        .result = LOGIN_CHALLENGED, .stage = BOUND},
    {"relayed, +OK", BACKEND_LOGIN_pass, TOKEN, .lines = {GREETING, STR("+OK"), TYPE_2},
        .said = {AUTH_NTLM, TYPE_1}, .result = LOGIN_CHALLENGED, .stage = BOUND},
    {"relayed, +OK and text", BACKEND_LOGIN_pass, TOKEN,
        .lines = {GREETING, STR("+OK go ahead"), TYPE_2}, .said = {AUTH_NTLM, TYPE_1},
        .result = LOGIN_CHALLENGED, .stage = BOUND},
    {"relayed to a store with a master user", BACKEND_LOGIN_master, TOKEN, .separator = "*",
        .is_stranger = true, .lines = {GREETING, STR("+"), TYPE_2}, .said = {AUTH_NTLM, TYPE_1},
        .result = LOGIN_CHALLENGED, .stage = BOUND},
    {"relayed, unknown", BACKEND_LOGIN_pass, TOKEN,
        .lines = {GREETING, STR("-ERR [AUTH] Unsupported authentication mechanism.")},
        .result = LOGIN_BROKEN, .stage = FRESH},
    {"relayed, type 1 refused", BACKEND_LOGIN_pass, TOKEN,
        .lines = {GREETING, STR("+ "), STR("-ERR [AUTH] no")}, .result = LOGIN_REFUSED,
        .stage = NAMED},
    {"relayed, accepted too early", BACKEND_LOGIN_pass, TOKEN,
        .lines = {GREETING, STR("+ "), STR("+OK in")}, .result = LOGIN_BROKEN, .stage = NAMED},
    {"relayed, empty challenge", BACKEND_LOGIN_pass, TOKEN,
        .lines = {GREETING, STR("+ "), STR("+ ")}, .result = LOGIN_BROKEN, .stage = NAMED},
    {"relayed, no base64", BACKEND_LOGIN_pass, TOKEN, .lines = {GREETING, STR("+ "), STR("+ !")},
        .result = LOGIN_BROKEN, .stage = NAMED},
};

struct fixture {
	struct backend_options options;
	struct credentials credentials;
	struct addr client;
	struct login login;
	char room[LOGIN_LINE_MAX];
	struct text out;
};

static void set_up(struct fixture *fixture, const struct row *row)
{
	*fixture = (struct fixture){
	    .options = {.login = row->method,
	        .master_user = (char *)"boss",
	        .master_separator = (char *)(row->separator ? row->separator : "*"),
	        .ntlm_domain = (char *)(row->ntlm_domain ? row->ntlm_domain : ""),
	        .client_address = row->client_address,
	        .capabilities = row->capabilities},
	    .credentials = {.user = row->user,
	        .password = row->password,
	        .token = row->token,
	        .is_verified = !row->is_stranger,
	        .session = 0xab,
	        .client = &fixture->client},
	    .login = {.options = &fixture->options,
	        .credentials = &fixture->credentials,
	        .master_password = STR("all mine")},
	};
	assert_true(addr_parse(STR("[2001:db8::1]:40000"), 0, &fixture->client));
}

// Plays the dialogue as far as it goes.
static enum login_result play(struct fixture *fixture, const struct row *row)
{
	struct login *login = &fixture->login;
	struct str name = str_of(row->name);
	enum login_result result = login_prepare(login);
	if (result == LOGIN_SEND && !login_greeting(login, row->lines[0]))
		result = LOGIN_BROKEN;
	for (size_t i = 0; i < LINES && (result == LOGIN_SEND || result == LOGIN_WAIT); i++) {
		check(name, i == 0 || row->lines[i].at);
		fixture->out = TEXT(fixture->room);
		result = i ? login_take(login, row->lines[i], &fixture->out)
		           : login_begin(login, &fixture->out);
		if (row->said[i].at && result != LOGIN_ACCEPTED)
			check_str(name, text_str(&fixture->out), row->said[i]);
	}
	return result;
}

static void test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct fixture fixture;
		struct str name = str_of(rows[i].name);
		set_up(&fixture, &rows[i]);
		enum login_result result = play(&fixture, &rows[i]);
		check(name, result == rows[i].result);
		check(name, fixture.login.stage == rows[i].stage);
		check(name, result != LOGIN_BROKEN || (fixture.login.why && fixture.login.awaited));
		bool is_untold = result == LOGIN_REFUSED && rows[i].stage == FRESH;
		check(name, result == LOGIN_BROKEN || is_untold == (fixture.login.why != NULL));
		login_done(&fixture.login);
		check(name, !fixture.login.timestamp.at);
	}
}

// The same login may be played again: nothing is left of what went before.
static void test_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct fixture fixture;
		set_up(&fixture, &rows[i]);
		play(&fixture, &rows[i]);
		check(str_of(rows[i].name), play(&fixture, &rows[i]) == rows[i].result);
		check(str_of(rows[i].name), fixture.login.stage == rows[i].stage);
		login_done(&fixture.login);
	}
}

// ---- NTLM ---------------------------------------------------------------

static const struct row relayed = {
    "relayed", BACKEND_LOGIN_pass, TOKEN, .lines = {GREETING, STR("+ "), TYPE_2}};

static enum login_result relay(struct fixture *fixture, struct str token)
{
	set_up(fixture, &relayed);
	assert_int_equal(play(fixture, &relayed), LOGIN_CHALLENGED);
	fixture->out = TEXT(fixture->room);
	return login_relay(&fixture->login, token, &fixture->out);
}

static void test_relayed_verdicts(void **state)
{
	static const struct {
		struct str line;
		enum login_result result;
	} verdicts[] = {
	    {STR("+OK User successfully logged on"), LOGIN_ACCEPTED},
	    {STR("-ERR Logon failure: unknown user name or bad password."), LOGIN_REFUSED},
	    {STR("-ERR Command not valid"), LOGIN_REFUSED},
	    {TYPE_2, LOGIN_BROKEN},
	    {STR("+ "), LOGIN_BROKEN},
	    {STR("hello"), LOGIN_BROKEN},
	};
	(void)state;
	for (size_t i = 0; i < NUM(verdicts); i++) {
		struct fixture fixture;
		assert_int_equal(relay(&fixture, STR("type 3")), LOGIN_SEND);
		check_str(STR("type 3"), text_str(&fixture.out), STR("dHlwZSAz\r\n"));
		assert_int_equal(fixture.login.stage, LOGIN_ASKED);
		fixture.out = TEXT(fixture.room);
		check(verdicts[i].line, login_take(&fixture.login, verdicts[i].line,
		                            &fixture.out) == verdicts[i].result);
	}
}

// What a client's line can hold is passed on; what it cannot, no store is told half of.
static void test_relayed_lengths(void **state)
{
	static char token[SASL_LINE_MAX];
	struct fixture fixture;
	size_t longest = (SASL_LINE_MAX - 2) / 4 * 3;
	(void)state;
	assert_int_equal(relay(&fixture, (struct str){token, longest}), LOGIN_SEND);
	assert_true(fixture.out.len <= SASL_LINE_MAX);
	assert_int_equal(relay(&fixture, (struct str){token, longest + 3}), LOGIN_BROKEN);
	assert_int_equal(relay(&fixture, (struct str){token, 0}), LOGIN_SEND);
	check_str(STR("empty"), text_str(&fixture.out), STR("\r\n"));
}

// A challenge as long as a store's line may be.
static void test_longest_challenge(void **state)
{
	static char line[STORE_LINE_MAX];
	struct fixture fixture;
	(void)state;
	memset(line, 'A', sizeof(line));
	memcpy(line, "+ ", 2);
	struct row row = relayed;
	row.lines[2] = (struct str){line, 2 + (STORE_LINE_MAX - 4) / 4 * 4};
	set_up(&fixture, &row);
	assert_int_equal(play(&fixture, &row), LOGIN_CHALLENGED);
	assert_int_equal(fixture.out.len, (STORE_LINE_MAX - 4) / 4 * 3);
}

// ---- NTLM as a client ---------------------------------------------------

// What the store is told, decoded.
static struct str decode(struct fixture *fixture, uint8_t *room, size_t size)
{
	size_t len;
	struct str line = text_str(&fixture->out);
	check_str(STR("end"), str_drop(line, line.len - 2), STR("\r\n"));
	assert_true(EVP_DecodeBase64(room, &len, size, (const uint8_t *)line.at, line.len - 2));
	return (struct str){(const char *)room, len};
}

static struct str continuation(struct text *line, struct str challenge)
{
	uint8_t base64[4096];
	size_t len = EVP_EncodeBlock(base64, (const uint8_t *)challenge.at, challenge.len);
	text_add(line, STR("+ "));
	text_add(line, (struct str){(const char *)base64, len});
	return text_str(line);
}

// A store that is popgate itself hears who it is, and that the password is right.
static void check_ntlm(
    const struct row *row, enum backend_ntlm version, enum ntlm_level level, struct str prompt)
{
	struct fixture fixture;
	uint8_t room[LOGIN_LINE_MAX], hash[16];
	char line_room[4096];
	struct text line = TEXT(line_room);
	const struct ntlm_settings settings = {.domain = STR("LAB"),
	    .computer = STR("STORE"),
	    .level = level,
	    .filetime = 130000000000000000,
	    .challenge = {1, 2, 3, 4, 5, 6, 7, 8}};
	const char *why = NULL;
	struct str name = str_of(row->name);
	set_up(&fixture, row);
	fixture.options.ntlm = version;
	fixture.out = TEXT(fixture.room);
	assert_int_equal(login_prepare(&fixture.login), LOGIN_SEND);
	assert_int_equal(login_begin(&fixture.login, &fixture.out), LOGIN_SEND);
	fixture.out = TEXT(fixture.room);
	assert_int_equal(login_take(&fixture.login, prompt, &fixture.out), LOGIN_SEND);
	struct ntlm_exchange *exchange =
	    ntlm_exchange_begin(&settings, decode(&fixture, room, sizeof(room)), &why);
	assert_non_null(exchange);
	continuation(&line, ntlm_exchange_challenge(exchange));
	fixture.out = TEXT(fixture.room);
	check(name, login_take(&fixture.login, text_str(&line), &fixture.out) == LOGIN_SEND);
	assert_int_equal(fixture.login.stage, LOGIN_ASKED);
	check(name, ntlm_exchange_finish(exchange, decode(&fixture, room, sizeof(room)), &why));
	check_str(name, ntlm_exchange_user(exchange), row->user);
	check_str(name, ntlm_exchange_domain(exchange), str_of(row->ntlm_domain));
	check(name, ntlm_exchange_level(exchange) == level);
	assert_true(ntlm_nt_hash(row->password, hash));
	check(name, ntlm_exchange_prove(exchange, hash, &why));
	ntlm_exchange_free(&exchange);
}

static void test_ntlm(void **state)
{
	static const struct row clients[] = {
	    {"anna", BACKEND_LOGIN_ntlm, ANNA, .ntlm_domain = "LAB"},
	    {"no domain", BACKEND_LOGIN_ntlm, ANNA, .ntlm_domain = ""},
	    {"umlauts", BACKEND_LOGIN_ntlm, .user = STR("\xc3\xa4nne"), .password = STR("a secret"),
	        .ntlm_domain = "B\xc3\xbcro"},
	};
	static const struct str prompts[] = {
	    STR("+"), STR("+ "), STR("+ go ahead"), STR("+OK"), STR("+OK go ahead")};
	(void)state;
	for (size_t i = 0; i < NUM(clients); i++)
		for (size_t k = 0; k < NUM(prompts); k++) {
			check_ntlm(&clients[i], BACKEND_NTLM_v2, NTLM_LEVEL_v2, prompts[k]);
			check_ntlm(&clients[i], BACKEND_NTLM_v1, NTLM_LEVEL_v1, prompts[k]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_relayed_verdicts),
	    cmocka_unit_test(test_relayed_lengths),
	    cmocka_unit_test(test_longest_challenge),
	    cmocka_unit_test(test_ntlm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
