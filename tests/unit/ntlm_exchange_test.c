// ntlm_exchange_test.c: an exchange from type 1 to the verdict: the dialogues of
// [MS-NLMP] section 4.2 and [MS-POP3] section 4, what our challenge says, and every
// attack that shows in the messages alone.
//
// Attacks are forged with the right password, so that it is the check that refuses
// them and not the proof, and once more where it is the proof that must.
#include "tests/kit/check.h"

#include "proxy/pop3/ntlm/avpair.h"
#include "tests/kit/ntlm.h"
#include "tests/kit/wiped.h"

enum { ROOM = 2048 };

// Flags of type 1: what nearly all ask for; with keys; without ESS; OEM alone.
enum {
	USUAL = NTLM_UNICODE | NTLM_OEM | NTLM_REQUEST_TARGET | NTLM_NTLM | NTLM_ALWAYS_SIGN |
	        NTLM_EXTENDED_SECURITY,
	KEYS = USUAL | NTLM_SIGN | NTLM_SEAL | NTLM_KEY_EXCHANGE | NTLM_128,
	PLAIN = USUAL & ~NTLM_EXTENDED_SECURITY,
	OEM = USUAL & ~NTLM_UNICODE,
};

#define BINDING STR("the very binding")
#define OTHER_BINDING STR("another binding!")
#define NO_BINDING STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")

static const struct str services[] = {STR("mail.example"), STR("pop.mail.example")};

static struct ntlm_settings settings_of(enum ntlm_level level)
{
	return (struct ntlm_settings){
	    .domain = STR("MAIL"),
	    .computer = STR("POP"),
	    .level = level,
	    .filetime = 0x01d4f55cf64af500,
	    .challenge = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
	};
}

static struct str negotiate_of(uint32_t flags, struct text *out)
{
	ntlm_write_negotiate(flags, out);
	return text_str(out);
}

static const uint8_t *hash_of(const char *password)
{
	static uint8_t hash[NTLM_KEY];
	assert_true(ntlm_nt_hash(str_of(password), hash));
	return hash;
}

static void check_why(struct str row, const char *why, const char *wanted)
{
	check_str(row, str_of(why), str_of(wanted));
}

// ---- published dialogues ------------------------------------------------

struct dialogue {
	const char *password;
	struct str negotiate, challenge, authenticate;
	enum ntlm_level level;
	struct str user, domain, workstation;
};

// A dialogue whose challenge is another server's, from beginning to end.
static void check_dialogue(const struct dialogue *row, bool proven)
{
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v1);
	const char *why = NULL;
	struct ntlm_exchange *exchange = ntlm_exchange_relay(&settings, row->negotiate, &why);
	assert_non_null(exchange);
	assert_true(ntlm_exchange_take_challenge(exchange, row->challenge, &why));
	check_str(row->user, ntlm_exchange_challenge(exchange), row->challenge);
	assert_true(ntlm_exchange_finish(exchange, row->authenticate, &why));
	check_str(row->user, ntlm_exchange_user(exchange), row->user);
	check_str(row->user, ntlm_exchange_domain(exchange), row->domain);
	check_str(row->user, ntlm_exchange_workstation(exchange), row->workstation);
	assert_int_equal(ntlm_exchange_level(exchange), row->level);
	assert_true(ntlm_exchange_prove(exchange, hash_of(row->password), &why) == proven);
	assert_false(ntlm_exchange_prove(exchange, hash_of("sesame"), &why));
	check_why(row->user, why, "wrong password");
	ntlm_exchange_free(&exchange);
	assert_null(exchange);
}

static void test_nlmp(void **state)
{
	char room[4 * ROOM];
	struct text text = TEXT(room);
	(void)state;
	struct str negotiate = ntlm_from_hex(MIC_NEGOTIATE, &text);
	struct dialogue rows[] = {
	    {"Password", negotiate, ntlm_from_hex(NLMP_V1_CHALLENGE, &text),
	        ntlm_from_hex(NLMP_V1_AUTHENTICATE, &text), .level = NTLM_LEVEL_v1},
	    {"Password", negotiate, ntlm_from_hex(NLMP_V2_CHALLENGE, &text),
	        ntlm_from_hex(NLMP_V2_AUTHENTICATE, &text), .level = NTLM_LEVEL_v2},
	    {"Password", negotiate, ntlm_from_hex(MIC_CHALLENGE, &text),
	        ntlm_from_hex(MIC_AUTHENTICATE, &text), .level = NTLM_LEVEL_v2},
	};
	for (size_t i = 0; i < NUM(rows); i++) {
		rows[i].user = STR("User");
		rows[i].domain = STR("Domain");
		rows[i].workstation = STR("COMPUTER");
		check_dialogue(&rows[i], true);
	}
}

static void test_pop3(void **state)
{
	char room[2 * ROOM];
	struct text text = TEXT(room);
	(void)state;
	struct dialogue row = {"password", ntlm_from_base64(POP3_NEGOTIATE, &text),
	    ntlm_from_base64(POP3_CHALLENGE, &text), ntlm_from_base64(POP3_AUTHENTICATE, &text),
	    NTLM_LEVEL_ntlm2, STR("user"), STR(""), STR("NF-CLIENT")};
	check_dialogue(&row, true);
	row.challenge = ntlm_from_base64(POP3_BAD_CHALLENGE, &text);
	row.authenticate = ntlm_from_base64(POP3_BAD_AUTHENTICATE, &text);
	check_dialogue(&row, false);
	row.password = "badpassword";
	check_dialogue(&row, true);
}

static void test_curl(void **state)
{
	char room[2 * ROOM];
	struct text text = TEXT(room);
	(void)state;
	struct dialogue row = {"testpass", ntlm_from_base64(CURL_NEGOTIATE, &text),
	    ntlm_from_base64(CURL_CHALLENGE, &text), ntlm_from_base64(CURL_AUTHENTICATE, &text),
	    NTLM_LEVEL_v2, STR("testuser"), STR(""), STR("curlhost")};
	check_dialogue(&row, true);
}

// ---- our challenge ------------------------------------------------------

static void check_challenge(
    const struct ntlm_settings *settings, uint32_t offered, const char *wanted)
{
	char rooms[2][ROOM];
	struct text negotiate = TEXT(rooms[0]), text = TEXT(rooms[1]);
	const char *why = NULL;
	struct ntlm_exchange *exchange =
	    ntlm_exchange_begin(settings, negotiate_of(offered, &negotiate), &why);
	assert_non_null(exchange);
	check_str(str_of(wanted), ntlm_exchange_challenge(exchange), ntlm_from_hex(wanted, &text));
	ntlm_exchange_free(&exchange);
}

// Byte for byte: names, no version, the agreed flags, AV pairs in Windows' order.
static void test_challenge(void **state)
{
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v2);
	(void)state;
#define HEAD "4e544c4d5353500002000000"
#define MIDDLE "0123456789abcdef0000000000000000"
#define PAIRS                                                                                      \
	"020008004d00410049004c00010006005000"                                                     \
	"4f0050000700080000f54af65cf5d40100000000"
	check_challenge(&settings, USUAL,
	    HEAD "0800080038000000"
	         "05828900" MIDDLE "2600260040000000"
	         "0000000000000000"
	         "4d00410049004c00" PAIRS);
	check_challenge(&settings, OEM,
	    HEAD "0400040038000000"
	         "06828900" MIDDLE "260026003c000000"
	         "0000000000000000"
	         "4d41494c" PAIRS);
	settings.dns_domain = STR("a.b");
	settings.dns_computer = STR("c");
	check_challenge(&settings, USUAL,
	    HEAD "0800080038000000"
	         "05828900" MIDDLE "3600360040000000"
	         "0000000000000000"
	         "4d00410049004c00"
	         "020008004d00410049004c000100060050004f005000"
	         "0400060061002e006200"
	         "030002006300"
	         "0700080000f54af65cf5d401"
	         "00000000");
}

static void test_flags(void **state)
{
	static const struct {
		uint32_t offered, answered;
	} rows[] = {
	    {NTLM_UNICODE, 0x00810205},
	    {NTLM_OEM, 0x00810206},
	    {NTLM_UNICODE | NTLM_OEM, 0x00810205},
	    {0x0000b207, 0x00818205}, // libntlm
	    {0x00088206, 0x00898206}, // curl
	    {0xa2088207, 0x00898205}, // Outlook Express: no keys without signing
	    {0xe2088297, 0xe0898215}, // Windows: keys, since it asks for signing; no LM key
	    {0xffffffff & ~(uint32_t)NTLM_DATAGRAM, 0xe0898235},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[ROOM];
		struct text negotiate = TEXT(room);
		struct ntlm_settings settings = settings_of(NTLM_LEVEL_v2);
		struct ntlm_challenge challenge;
		const char *why = NULL;
		struct ntlm_exchange *exchange = ntlm_exchange_begin(&settings,
		    negotiate_of(rows[i].offered & ~(uint32_t)NTLM_DOMAIN_SUPPLIED, &negotiate),
		    &why);
		assert_non_null(exchange);
		assert_true(
		    ntlm_parse_challenge(ntlm_exchange_challenge(exchange), &challenge, &why));
		assert_int_equal(challenge.flags, rows[i].answered);
		ntlm_exchange_free(&exchange);
	}
}

static void test_type_1_refused(void **state)
{
	static const struct {
		struct str negotiate;
		const char *why;
	} rows[] = {
	    {STR(""), "not an NTLM message of type 1"},
	    {STR("NTLMSSP\0\1\0\0\0\7\x82\0"), "not an NTLM message of type 1"},
	    {STR("NTLMSSP\0\3\0\0\0\7\x82\0\0"), "not an NTLM message of type 1"},
	    {STR("NTLMSSP\0\1\0\0\0\4\x82\0\0"), "type 1 offers neither Unicode nor OEM"},
	    {STR("NTLMSSP\0\1\0\0\0\x47\x82\0\0"), "type 1 asks for datagrams"},
	    {STR("NTLMSSP\0\1\0\0\0\7\x92\0\0\4\0\4\0\xff\xff\0\0\0\0\0\0\0\0\0\0john"),
	        "type 1 points outside itself"},
	};
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v1);
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		const char *why = NULL;
		check(rows[i].negotiate, !ntlm_exchange_begin(&settings, rows[i].negotiate, &why));
		check_why(rows[i].negotiate, why, rows[i].why);
		why = NULL;
		check(rows[i].negotiate, !ntlm_exchange_relay(&settings, rows[i].negotiate, &why));
		check_why(rows[i].negotiate, why, rows[i].why);
	}
}

static void test_offered_domain(void **state)
{
	static const struct {
		struct str negotiate, domain;
	} rows[] = {
	    {STR("NTLMSSP\0\1\0\0\0\7\x82\0\0"), STR("")},
	    {STR("NTLMSSP\0\1\0\0\0\7\x92\0\0\4\0\4\0\x20\0\0\0\0\0\0\0\0\0\0\0LAB1"), STR("LAB1")},
	    {STR("NTLMSSP\0\1\0\0\0\7\x92\0\0\4\0\4\0\x20\0\0\0\0\0\0\0\0\0\0\0LA\r\n"), STR("")},
	    {STR("NTLMSSP\0\1\0\0\0\7\x92\0\0\4\0\4\0\x20\0\0\0\0\0\0\0\0\0\0\0LAB\xe4"), STR("")},
	};
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v1);
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		const char *why = NULL;
		struct ntlm_exchange *exchange =
		    ntlm_exchange_relay(&settings, rows[i].negotiate, &why);
		assert_non_null(exchange);
		check_str(
		    rows[i].negotiate, ntlm_exchange_offered_domain(exchange), rows[i].domain);
		ntlm_exchange_free(&exchange);
	}
}

// A name of ours that an OEM client cannot be told.
static void test_own_names(void **state)
{
	static char long_name[300];
	char room[ROOM];
	struct text text = TEXT(room);
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v1);
	const char *why = NULL;
	(void)state;
	struct str negotiate = negotiate_of(OEM, &text);
	settings.domain = STR("M\xc3\x84IL");
	assert_null(ntlm_exchange_begin(&settings, negotiate, &why));
	assert_string_equal(why, "our own names cannot be said to this client");
	settings = settings_of(NTLM_LEVEL_v1);
	settings.dns_domain = check_fill(long_name, sizeof(long_name), 'x', sizeof(long_name));
	assert_null(ntlm_exchange_begin(&settings, negotiate, &why));
	settings.dns_domain = STR("\xff");
	assert_null(ntlm_exchange_begin(&settings, negotiate, &why));
}

// ---- attacks ------------------------------------------------------------

enum tls { CLEAR, TLS };

struct row {
	const char *what;
	struct forge forge;
	const char *refused;  // why finish says no; NULL: it does not
	const char *unproven; // why prove says no; NULL: it does not
	uint32_t offered;     // flags of type 1; 0: USUAL
	enum ntlm_level level;
	enum ntlm_binding binding;
	bool require_mic;
	enum tls tls;
	size_t num_services;
};

static struct ntlm_settings settings_for(const struct row *row)
{
	struct ntlm_settings settings = settings_of(row->level);
	settings.channel_binding = row->binding;
	settings.require_mic = row->require_mic;
	settings.binding = row->tls ? BINDING : STR("");
	settings.services = services;
	settings.num_services = row->num_services;
	return settings;
}

static void check_row(const struct row *row)
{
	char rooms[2][ROOM];
	struct text text = TEXT(rooms[0]), authenticate = TEXT(rooms[1]);
	struct ntlm_settings settings = settings_for(row);
	struct str negotiate = negotiate_of(row->offered ? row->offered : USUAL, &text);
	struct str what = str_of(row->what);
	const char *why = NULL;
	struct ntlm_exchange *exchange = ntlm_exchange_begin(&settings, negotiate, &why);
	assert_non_null(exchange);
	forge(&row->forge, negotiate, ntlm_exchange_challenge(exchange), &authenticate);
	bool finished = ntlm_exchange_finish(exchange, text_str(&authenticate), &why);
	check_why(what, why, row->refused);
	check(what, finished == !row->refused);
	if (finished) {
		bool proven = ntlm_exchange_prove(exchange, hash_of("secret"), &why);
		check_why(what, why, row->unproven);
		check(what, proven == !row->unproven);
	}
	ntlm_exchange_free(&exchange);
}

static void check_rows(const struct row *rows, size_t num)
{
	for (size_t i = 0; i < num; i++)
		check_row(&rows[i]);
}

// What clients in the world do, and is right.
static void test_taken(void **state)
{
	const struct row rows[] = {
	    {.what = "NTLMv2 as it should be", {.tail = 4}},
	    {.what = "without zeros behind the pairs (Thunderbird)", {0}},
	    {.what = "with more of them (Windows)", {.tail = 12}},
	    {.what = "domain hashed in upper case (Thunderbird)",
	        {.domain = WIDE("mail"), .hashed_domain = WIDE("MAIL")}},
	    {.what = "domain hashed as sent", {.domain = WIDE("mail")}},
	    {.what = "domain not hashed", {.hashed_domain = STR("")}},
	    {.what = "no domain", {.domain = STR("")}},
	    {.what = "another domain", {.domain = WIDE("LAB")}},
	    {.what = "DNS name of a domain", {.domain = WIDE("lab.test")}},
	    {.what = "user@domain and no domain",
	        {.user = WIDE("anna@lab.test"), .domain = STR("")}},
	    {.what = "user beyond ASCII",
	        {.user = STR("j\0\xe9\0"), .hashed_user = STR("J\0\xc9\0")}},
	    {.what = "a sharp s has no capital",
	        {.user = STR("\xdf\0"), .hashed_user = STR("\xdf\0")}},
	    {.what = "beyond the BMP", {.user = STR("\x3d\xd8\xec\xdc")}},
	    {.what = "OEM", {.oem = true}, .offered = OEM},
	    {.what = "OEM where Unicode was agreed on", {.oem = true}},
	    {.what = "with MIC", {.mic = FORGE_MIC}},
	    {.what = "with MIC and a key of its own", {.mic = FORGE_MIC}, .offered = KEYS},
	    {.what = "with a key of its own, no MIC", {0}, .offered = KEYS},
	    {.what = "NTLM2 session security where allowed",
	        {.kind = FORGE_ntlm2},
	        .level = NTLM_LEVEL_ntlm2},
	    {.what = "NTLM2 session security where NTLMv1 is",
	        {.kind = FORGE_ntlm2},
	        .level = NTLM_LEVEL_v1},
	    {.what = "NTLMv1 where allowed", {.kind = FORGE_v1}, .level = NTLM_LEVEL_v1},
	    {.what = "NTLMv1 without ESS",
	        {.kind = FORGE_v1},
	        .level = NTLM_LEVEL_v1,
	        .offered = PLAIN},
	    {.what = "NTLMv1 in OEM",
	        {.kind = FORGE_v1, .oem = true},
	        .level = NTLM_LEVEL_v1,
	        .offered = OEM},
	    {.what = "NTLMv2 where NTLMv1 is allowed", {0}, .level = NTLM_LEVEL_v1},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

static void test_downgrade(void **state)
{
	static const struct row rows[] = {
	    {.what = "NTLMv1", {.kind = FORGE_v1}, .refused = "NTLMv1 is not allowed"},
	    {.what = "NTLMv1 without ESS",
	        {.kind = FORGE_v1},
	        .refused = "NTLMv1 is not allowed",
	        .offered = PLAIN},
	    {.what = "NTLMv1 where NTLM2 is allowed",
	        {.kind = FORGE_v1},
	        .refused = "NTLMv1 is not allowed",
	        .level = NTLM_LEVEL_ntlm2},
	    {.what = "NTLM2 session security",
	        {.kind = FORGE_ntlm2},
	        .refused = "NTLM2 session security is not allowed"},
	    {.what = "looks like NTLM2, but ESS was not agreed on: NTLMv1",
	        {.kind = FORGE_ntlm2},
	        .refused = "NTLMv1 is not allowed",
	        .level = NTLM_LEVEL_ntlm2,
	        .offered = PLAIN},
	    {.what = "the same where type 3 says ESS",
	        {.kind = FORGE_ntlm2, .more_flags = NTLM_EXTENDED_SECURITY},
	        .refused = "NTLMv1 is not allowed",
	        .level = NTLM_LEVEL_ntlm2,
	        .offered = PLAIN},
	    {.what = "and it proves nothing",
	        {.kind = FORGE_ntlm2},
	        .unproven = "wrong password",
	        .level = NTLM_LEVEL_v1,
	        .offered = PLAIN},
	    {.what = "LM alone", {.kind = FORGE_lm}, .refused = "LM alone", .level = NTLM_LEVEL_v1},
	    {.what = "NTLMv1 cannot be bound",
	        {.kind = FORGE_v1},
	        .refused = "no channel binding",
	        .level = NTLM_LEVEL_v1,
	        .binding = NTLM_BINDING_require,
	        .tls = TLS},
	    {.what = "NTLM2 neither",
	        {.kind = FORGE_ntlm2},
	        .refused = "no channel binding",
	        .level = NTLM_LEVEL_v1,
	        .binding = NTLM_BINDING_require,
	        .tls = TLS},
	    {.what = "NTLMv1 has no MIC",
	        {.kind = FORGE_v1},
	        .refused = "no MIC",
	        .level = NTLM_LEVEL_v1,
	        .require_mic = true},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

static void test_anonymous(void **state)
{
	const struct row rows[] = {
	    {.what = "no user, no response",
	        {.kind = FORGE_nothing, .user = STR("")},
	        .refused = "anonymous: no user",
	        .level = NTLM_LEVEL_v1},
	    {.what = "no user, LM response of one zero",
	        {.kind = FORGE_one_zero, .user = STR("")},
	        .refused = "anonymous: no user",
	        .level = NTLM_LEVEL_v1},
	    {.what = "no user, but a response", {.user = STR("")}, .refused = "anonymous: no user"},
	    {.what = "a user and no response",
	        {.kind = FORGE_nothing},
	        .refused = "anonymous: no response",
	        .level = NTLM_LEVEL_v1},
	    {.what = "a user and one zero",
	        {.kind = FORGE_one_zero},
	        .refused = "anonymous: no response",
	        .level = NTLM_LEVEL_v1},
	    {.what = "says so", {.more_flags = NTLM_ANONYMOUS}, .refused = "anonymous: says so"},
	    {.what = "guest", {.user = WIDE("guest")}, .refused = "an account of everybody's"},
	    {.what = "Guest",
	        {.user = WIDE("Guest"), .domain = STR("")},
	        .refused = "an account of everybody's"},
	    {.what = "GUEST@lab.test",
	        {.user = WIDE("GUEST@lab.test"), .domain = STR("")},
	        .refused = "an account of everybody's"},
	    {.what = "ANONYMOUS LOGON",
	        {.user = WIDE("ANONYMOUS LOGON")},
	        .refused = "an account of everybody's"},
	    {.what = "guesthouse is somebody", {.user = WIDE("guesthouse")}},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

#define NO_NAME "a name is no text, too long, or has control characters"
#define SEPARATOR "a separator within a name"

static void test_names(void **state)
{
	static char long_name[600];
	struct str too_long = check_fill(long_name, sizeof(long_name), 'x', 2 * 256);
	const struct row rows[] = {
	    {.what = "odd length", {.user = STR("a\0b")}, .refused = NO_NAME},
	    {.what = "odd length of the domain", {.domain = STR("a\0b")}, .refused = NO_NAME},
	    {.what = "first half of a pair", {.user = STR("a\0\x3d\xd8")}, .refused = NO_NAME},
	    {.what = "second half",
	        {.user = STR("\xec\xdc"
	                     "a\0")},
	        .refused = NO_NAME},
	    {.what = "halves the wrong way round",
	        {.user = STR("\xec\xdc\x3d\xd8")},
	        .refused = NO_NAME},
	    {.what = "NUL within", {.user = STR("a\0\0\0b\0")}, .refused = NO_NAME},
	    {.what = "NUL at the end", {.user = STR("a\0\0\0")}, .refused = NO_NAME},
	    {.what = "NUL in the domain", {.domain = STR("a\0\0\0b\0")}, .refused = NO_NAME},
	    {.what = "a line more", {.user = WIDE("anna\r\nDELE 1")}, .refused = NO_NAME},
	    {.what = "a line more for a helper",
	        {.domain = WIDE("MAIL\nUsername: root")},
	        .refused = NO_NAME},
	    {.what = "tab", {.user = WIDE("an\tna")}, .refused = NO_NAME},
	    {.what = "DEL", {.user = WIDE("anna\x7f")}, .refused = NO_NAME},
	    {.what = "a control character above ASCII",
	        {.user = STR("\x85\0")},
	        .refused = NO_NAME},
	    {.what = "too long", {.user = too_long}, .refused = NO_NAME},
	    {.what = "domain too long", {.domain = too_long}, .refused = NO_NAME},
	    {.what = "backslash", {.user = WIDE("LAB\\anna")}, .refused = SEPARATOR},
	    {.what = "slash", {.user = WIDE("anna/boss")}, .refused = SEPARATOR},
	    {.what = "colon", {.user = WIDE("anna:")}, .refused = SEPARATOR},
	    {.what = "backslash in the domain", {.domain = WIDE("A\\B")}, .refused = SEPARATOR},
	    {.what = "slash in the domain", {.domain = WIDE("A/B")}, .refused = SEPARATOR},
	    {.what = "colon in the domain", {.domain = WIDE("A:B")}, .refused = SEPARATOR},
	    {.what = "at in the domain", {.domain = WIDE("A@B")}, .refused = SEPARATOR},
	    {.what = "user@domain and a domain",
	        {.user = WIDE("anna@lab.test")},
	        .refused = "user@domain beside a domain"},
	    {.what = "@domain",
	        {.user = WIDE("@lab.test"), .domain = STR("")},
	        .refused = "user@domain beside a domain"},
	    {.what = "user@",
	        {.user = WIDE("anna@"), .domain = STR("")},
	        .refused = "user@domain beside a domain"},
	    {.what = "user@domain@domain",
	        {.user = WIDE("anna@a@b"), .domain = STR("")},
	        .refused = "user@domain beside a domain"},
	    {.what = "OEM beyond ASCII",
	        {.oem = true, .user = STR("j\xe9")},
	        .refused = NO_NAME,
	        .offered = OEM},
	    {.what = "NUL in OEM",
	        {.oem = true, .user = STR("a\0b")},
	        .refused = NO_NAME,
	        .offered = OEM},
	    {.what = "newline in OEM",
	        {.oem = true, .user = STR("a\nb")},
	        .refused = NO_NAME,
	        .offered = OEM},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

#define OTHER_CHALLENGE "not an answer to this challenge: names or time differ"
#define AV_DOMAIN "\2\0\x08\0M\0A\0I\0L\0"
#define AV_COMPUTER "\1\0\6\0P\0O\0P\0"
#define AV_TIME "\7\0\x08\0\0\xf5\x4a\xf6\x5c\xf5\xd4\1"
#define AV_END "\0\0\0\0"

// A response that was made for another server, or earlier, and is proven.
static void test_relayed_challenge(void **state)
{
	static const struct row rows[] = {
	    {.what = "our pairs", {.pairs = STR(AV_DOMAIN AV_COMPUTER AV_TIME AV_END)}},
	    {.what = "in another order, with others",
	        {.pairs = STR("\x0b\0\1\0x" AV_TIME AV_COMPUTER AV_DOMAIN AV_END)}},
	    {.what = "another domain",
	        {.pairs = STR("\2\0\6\0L\0A\0B\0" AV_COMPUTER AV_TIME AV_END)},
	        .refused = OTHER_CHALLENGE},
	    {.what = "another computer",
	        {.pairs = STR(AV_DOMAIN "\1\0\6\0L\0A\0B\0" AV_TIME AV_END)},
	        .refused = OTHER_CHALLENGE},
	    {.what = "in lower case",
	        {.pairs = STR("\2\0\x08\0m\0a\0i\0l\0" AV_COMPUTER AV_TIME AV_END)},
	        .refused = OTHER_CHALLENGE},
	    {.what = "another time",
	        {.pairs =
	                STR(AV_DOMAIN AV_COMPUTER "\7\0\x08\0\0\xf5\x4a\xf6\x5c\xf5\xd4\2" AV_END)},
	        .refused = OTHER_CHALLENGE},
	    {.what = "no time",
	        {.pairs = STR(AV_DOMAIN AV_COMPUTER AV_END)},
	        .refused = OTHER_CHALLENGE},
	    {.what = "no domain",
	        {.pairs = STR(AV_COMPUTER AV_TIME AV_END)},
	        .refused = OTHER_CHALLENGE},
	    {.what = "nothing", {.pairs = STR(AV_END)}, .refused = OTHER_CHALLENGE},
	    {.what = "behind the end",
	        {.pairs = STR(AV_COMPUTER AV_TIME AV_END AV_DOMAIN AV_END)},
	        .refused = OTHER_CHALLENGE},
	    {.what = "twice",
	        {.pairs = STR(AV_DOMAIN AV_DOMAIN AV_COMPUTER AV_TIME AV_END)},
	        .refused = "malformed AV pairs"},
	    {.what = "no end",
	        {.pairs = STR(AV_DOMAIN AV_COMPUTER AV_TIME)},
	        .refused = "malformed AV pairs"},
	    {.what = "cut off",
	        {.pairs = STR(AV_DOMAIN AV_COMPUTER AV_TIME "\2\0\xff\xff\0\0\0")},
	        .refused = "malformed AV pairs"},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

static void test_channel_binding(void **state)
{
	static const struct row rows[] = {
	    {.what = "off: none", {0}, .tls = TLS},
	    {.what = "off: a wrong one", {.binding = OTHER_BINDING}, .tls = TLS},
	    {.what = "allow: none", {0}, .tls = TLS, .binding = NTLM_BINDING_allow},
	    {.what = "allow: zeros",
	        {.binding = NO_BINDING},
	        .tls = TLS,
	        .binding = NTLM_BINDING_allow},
	    {.what = "allow: right",
	        {.binding = BINDING},
	        .tls = TLS,
	        .binding = NTLM_BINDING_allow},
	    {.what = "allow: wrong",
	        {.binding = OTHER_BINDING},
	        .refused = "bound to another TLS channel",
	        .tls = TLS,
	        .binding = NTLM_BINDING_allow},
	    {.what = "allow: one, without TLS here",
	        {.binding = BINDING},
	        .refused = "bound to another TLS channel",
	        .binding = NTLM_BINDING_allow},
	    {.what = "allow: none, without TLS", {0}, .binding = NTLM_BINDING_allow},
	    {.what = "require: right",
	        {.binding = BINDING},
	        .tls = TLS,
	        .binding = NTLM_BINDING_require},
	    {.what = "require: right, with MIC",
	        {.binding = BINDING, .mic = FORGE_MIC},
	        .tls = TLS,
	        .binding = NTLM_BINDING_require,
	        .require_mic = true},
	    {.what = "require: wrong",
	        {.binding = OTHER_BINDING},
	        .refused = "bound to another TLS channel",
	        .tls = TLS,
	        .binding = NTLM_BINDING_require},
	    {.what = "require: none",
	        {0},
	        .refused = "no channel binding",
	        .tls = TLS,
	        .binding = NTLM_BINDING_require},
	    {.what = "require: zeros",
	        {.binding = NO_BINDING},
	        .refused = "no channel binding",
	        .tls = TLS,
	        .binding = NTLM_BINDING_require},
	    {.what = "require: without TLS",
	        {0},
	        .refused = "no channel binding",
	        .binding = NTLM_BINDING_require},
	    {.what = "require: one, without TLS here",
	        {.binding = BINDING},
	        .refused = "bound to another TLS channel",
	        .binding = NTLM_BINDING_require},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

static void test_service(void **state)
{
	enum { OURS = NUM(services) };
	const struct row rows[] = {
	    {.what = "none", {0}, .num_services = OURS},
	    {.what = "an empty one (Windows, without a name)",
	        {.service = STR("")},
	        .num_services = OURS},
	    {.what = "ours", {.service = WIDE("pop/mail.example")}, .num_services = OURS},
	    {.what = "ours in capitals",
	        {.service = WIDE("POP/MAIL.example")},
	        .num_services = OURS},
	    {.what = "POP3, and a port",
	        {.service = WIDE("POP3/mail.example:995")},
	        .num_services = OURS},
	    {.what = "our other name",
	        {.service = WIDE("pop/pop.mail.example/MAIL")},
	        .num_services = OURS},
	    {.what = "any host", {.service = WIDE("pop/whatever.example")}},
	    {.what = "another host",
	        {.service = WIDE("pop/other.example")},
	        .refused = "meant for another service",
	        .num_services = OURS},
	    {.what = "a host that begins like ours",
	        {.service = WIDE("pop/mail.example.org")},
	        .refused = "meant for another service",
	        .num_services = OURS},
	    {.what = "another service on our host",
	        {.service = WIDE("cifs/mail.example")},
	        .refused = "meant for another service",
	        .num_services = OURS},
	    {.what = "another service, any host",
	        {.service = WIDE("imap/mail.example")},
	        .refused = "meant for another service"},
	    {.what = "a host alone",
	        {.service = WIDE("mail.example")},
	        .refused = "meant for another service"},
	    {.what = "no host", {.service = WIDE("pop/")}, .refused = "meant for another service"},
	    {.what = "no host but a port",
	        {.service = WIDE("pop/:995")},
	        .refused = "meant for another service"},
	    {.what = "no text", {.service = STR("p")}, .refused = "meant for another service"},
	    {.what = "another host, from a source not trusted",
	        {.service = WIDE("pop/other.example"), .av_flags = NTLM_AV_FLAG_service_untrusted},
	        .num_services = OURS},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

#define WRONG_MIC "wrong MIC: the messages were changed on their way"

static void test_mic(void **state)
{
	static const struct row rows[] = {
	    {.what = "wrong", {.mic = FORGE_WRONG_MIC}, .unproven = WRONG_MIC},
	    {.what = "wrong, with keys",
	        {.mic = FORGE_WRONG_MIC},
	        .unproven = WRONG_MIC,
	        .offered = KEYS},
	    {.what = "promised, and no room",
	        {.mic = FORGE_MIC_WITHOUT_ROOM},
	        .refused = "a MIC is promised, and there is no room for one"},
	    {.what = "none where it must be", {0}, .refused = "no MIC", .require_mic = true},
	    {.what = "there where it must be", {.mic = FORGE_MIC}, .require_mic = true},
	    {.what = "wrong where it must be",
	        {.mic = FORGE_WRONG_MIC},
	        .unproven = WRONG_MIC,
	        .require_mic = true},
	    {.what = "no session key where one was agreed on",
	        {.mic = FORGE_MIC, .no_key = true},
	        .refused = "no session key where one was agreed on",
	        .offered = KEYS},
	    {.what = "the same of NTLMv1",
	        {.kind = FORGE_v1, .no_key = true},
	        .refused = "no session key where one was agreed on",
	        .offered = KEYS,
	        .level = NTLM_LEVEL_v1},
	};
	(void)state;
	check_rows(rows, NUM(rows));
}

// ---- messages changed on their way --------------------------------------

// A bound exchange with MIC, whose messages the test may change.
struct wire {
	char rooms[3][ROOM];
	struct str negotiate, challenge, authenticate;
	struct ntlm_settings settings;
};

static void record(struct wire *wire, uint32_t offered, enum forge_mic mic)
{
	const struct forge row = {.mic = mic, .binding = BINDING, .tail = 4};
	struct text negotiate = TEXT(wire->rooms[0]), challenge = TEXT(wire->rooms[1]);
	struct text authenticate = TEXT(wire->rooms[2]);
	const char *why = NULL;
	wire->settings = settings_of(NTLM_LEVEL_v1);
	wire->settings.channel_binding = NTLM_BINDING_allow;
	wire->settings.binding = BINDING;
	wire->negotiate = negotiate_of(offered, &negotiate);
	struct ntlm_exchange *exchange =
	    ntlm_exchange_begin(&wire->settings, wire->negotiate, &why);
	assert_non_null(exchange);
	text_add(&challenge, ntlm_exchange_challenge(exchange));
	wire->challenge = text_str(&challenge);
	forge(&row, wire->negotiate, wire->challenge, &authenticate);
	wire->authenticate = text_str(&authenticate);
	ntlm_exchange_free(&exchange);
}

// Whether the messages, as they are now, log anna in.
static bool replay(const struct wire *wire)
{
	const char *why = NULL;
	struct ntlm_exchange *exchange =
	    ntlm_exchange_begin(&wire->settings, wire->negotiate, &why);
	bool in = exchange && ntlm_exchange_finish(exchange, wire->authenticate, &why) &&
	          ntlm_exchange_prove(exchange, hash_of("secret"), &why);
	ntlm_exchange_free(&exchange);
	return in;
}

static size_t flips_taken(const struct wire *wire, struct str message)
{
	size_t taken = 0;
	for (size_t bit = 0; bit < 8 * message.len; bit++) {
		char *byte = (char *)message.at + bit / 8;
		*byte ^= (char)(1 << bit % 8);
		taken += replay(wire);
		*byte ^= (char)(1 << bit % 8);
	}
	return taken;
}

// With a MIC, no bit of any message may differ.
static void test_every_bit(void **state)
{
	static const uint32_t offers[] = {USUAL, KEYS};
	struct wire wire;
	(void)state;
	for (size_t i = 0; i < NUM(offers); i++) {
		record(&wire, offers[i], FORGE_MIC);
		assert_true(replay(&wire));
		assert_int_equal(flips_taken(&wire, wire.negotiate), 0);
		assert_int_equal(flips_taken(&wire, wire.authenticate), 0);
	}
}

// "Drop the MIC" (CVE-2019-1040): the flag that promises it is proven.
static void test_drop_the_mic(void **state)
{
	static const char promise[] = {NTLM_AV_flags, 0, 4, 0, NTLM_AV_FLAG_mic, 0, 0, 0};
	struct wire wire;
	(void)state;
	record(&wire, USUAL, FORGE_MIC);
	memset((char *)wire.authenticate.at + NTLM_MIC_AT, 0, NTLM_KEY);
	assert_false(replay(&wire)); // zeros are no MIC
	char *flag = memmem(wire.authenticate.at, wire.authenticate.len, promise, sizeof(promise));
	assert_non_null(flag);
	flag[4] = 0;
	assert_false(replay(&wire)); // and without the promise the proof is none
}

// No part of a recorded exchange is good for another.
static void test_replayed(void **state)
{
	struct wire wire;
	(void)state;
	for (enum forge_mic mic = FORGE_NO_MIC; mic <= FORGE_MIC; mic++) {
		record(&wire, USUAL, mic);
		assert_true(replay(&wire));
		wire.settings.challenge[7] ^= 1;
		assert_false(replay(&wire));
		wire.settings.challenge[7] ^= 1;
		wire.settings.filetime++;
		assert_false(replay(&wire));
	}
}

// ---- helpers and stores -------------------------------------------------

static struct ntlm_exchange *finished(const struct forge *row, struct ntlm_settings *settings)
{
	char rooms[2][ROOM];
	struct text text = TEXT(rooms[0]), authenticate = TEXT(rooms[1]);
	const char *why = NULL;
	struct str negotiate = negotiate_of(USUAL, &text);
	struct ntlm_exchange *exchange = ntlm_exchange_begin(settings, negotiate, &why);
	assert_non_null(exchange);
	forge(row, negotiate, ntlm_exchange_challenge(exchange), &authenticate);
	assert_true(ntlm_exchange_finish(exchange, text_str(&authenticate), &why));
	return exchange;
}

// What a helper is asked answers the very challenge.
static void test_question(void **state)
{
	static const struct forge rows[] = {{.kind = FORGE_v1}, {.kind = FORGE_ntlm2}};
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v1);
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		uint8_t wanted[NTLM_RESPONSE];
		struct ntlm_exchange *exchange = finished(&rows[i], &settings);
		struct ntlm_question question = ntlm_exchange_question(exchange);
		const char *why = NULL;
		ntlm_response_v1(hash_of("secret"), question.challenge, wanted);
		struct str answer = {(const char *)wanted, sizeof(wanted)};
		check_str(STR("nt"), question.nt, answer);
		check_str(STR("user"), question.user, STR("anna"));
		check_str(STR("domain"), question.domain, STR("MAIL"));
		assert_true(ntlm_exchange_confirm(exchange, wanted, &why)); // no MIC: any key
		ntlm_exchange_free(&exchange);
	}
}

// With the key that Samba returns for the exchange of the vectors.
static void test_confirm(void **state)
{
	char room[2 * ROOM];
	struct text text = TEXT(room);
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v2);
	const char *why = NULL;
	uint8_t hash[NTLM_KEY], key[NTLM_KEY], proof[NTLM_KEY], base[NTLM_KEY];
	(void)state;
	struct str negotiate = ntlm_from_hex(MIC_NEGOTIATE, &text);
	struct ntlm_exchange *exchange = ntlm_exchange_relay(&settings, negotiate, &why);
	assert_non_null(exchange);
	assert_true(
	    ntlm_exchange_take_challenge(exchange, ntlm_from_hex(MIC_CHALLENGE, &text), &why));
	assert_true(ntlm_exchange_finish(exchange, ntlm_from_hex(MIC_AUTHENTICATE, &text), &why));
	struct ntlm_question question = ntlm_exchange_question(exchange);
	memcpy(hash, hash_of("Password"), sizeof(hash));
	ntlm_key_v2(hash, WIDE("USER"), WIDE("Domain"), key);
	ntlm_proof_v2(key, question.challenge, str_drop(question.nt, NTLM_KEY), proof);
	assert_memory_equal(proof, question.nt.at, NTLM_KEY);
	ntlm_session_base_v2(key, proof, base);
	assert_true(ntlm_exchange_confirm(exchange, base, &why));
	base[0] ^= 1;
	assert_false(ntlm_exchange_confirm(exchange, base, &why));
	assert_string_equal(why, WRONG_MIC);
	ntlm_exchange_free(&exchange);
}

// A store may read names by what it said, whatever type 3 says.
static void test_relayed_names(void **state)
{
	static const struct {
		uint32_t offered;
		bool oem, taken;
	} rows[] = {
	    {USUAL, false, true}, {USUAL, true, false}, {OEM, true, true}, {OEM, false, false}};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[ROOM], said_room[2 * ROOM];
		struct text text = TEXT(room), said = TEXT(said_room);
		struct ntlm_settings settings = settings_of(NTLM_LEVEL_v2);
		struct forge row = {.oem = rows[i].oem};
		struct str negotiate = negotiate_of(rows[i].offered, &text);
		const char *why = NULL;
		struct ntlm_exchange *store = ntlm_exchange_begin(&settings, negotiate, &why);
		struct ntlm_exchange *relay = ntlm_exchange_relay(&settings, negotiate, &why);
		struct str challenge = ntlm_exchange_challenge(store);
		assert_true(ntlm_exchange_take_challenge(relay, challenge, &why));
		forge(&row, negotiate, challenge, &said);
		assert_true(ntlm_exchange_finish(relay, text_str(&said), &why) == rows[i].taken);
		if (!rows[i].taken)
			assert_string_equal(why, "names in another coding than was agreed on");
		ntlm_exchange_free(&relay);
		ntlm_exchange_free(&store);
	}
}

// A store that says nonsense.
static void test_store_challenge(void **state)
{
	char room[ROOM];
	struct text text = TEXT(room);
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v2);
	const char *why = NULL;
	(void)state;
	struct ntlm_exchange *exchange =
	    ntlm_exchange_relay(&settings, negotiate_of(USUAL, &text), &why);
	assert_non_null(exchange);
	assert_false(ntlm_exchange_take_challenge(exchange, STR(""), &why));
	assert_string_equal(why, "not an NTLM message of type 2");
	ntlm_exchange_free(&exchange);
	ntlm_exchange_free(&exchange);
}

static void test_level_names(void **state)
{
	(void)state;
	assert_string_equal(ntlm_level_name(NTLM_LEVEL_v2), "v2");
	assert_string_equal(ntlm_level_name(NTLM_LEVEL_ntlm2), "ntlm2");
	assert_string_equal(ntlm_level_name(NTLM_LEVEL_v1), "v1");
}

static void test_wiped(void **state)
{
	struct ntlm_settings settings = settings_of(NTLM_LEVEL_v2);
	struct forge row = {.service = WIDE("pop/sesame")};
	(void)state;
	struct ntlm_exchange *exchange = finished(&row, &settings);
	wiped_watch(STR("s\0e\0s\0a\0m\0e\0"));
	ntlm_exchange_free(&exchange);
	assert_int_equal(wiped_leaks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nlmp),
	    cmocka_unit_test(test_pop3),
	    cmocka_unit_test(test_curl),
	    cmocka_unit_test(test_challenge),
	    cmocka_unit_test(test_flags),
	    cmocka_unit_test(test_type_1_refused),
	    cmocka_unit_test(test_offered_domain),
	    cmocka_unit_test(test_own_names),
	    cmocka_unit_test(test_taken),
	    cmocka_unit_test(test_downgrade),
	    cmocka_unit_test(test_anonymous),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_relayed_challenge),
	    cmocka_unit_test(test_relayed_names),
	    cmocka_unit_test(test_channel_binding),
	    cmocka_unit_test(test_service),
	    cmocka_unit_test(test_mic),
	    cmocka_unit_test(test_every_bit),
	    cmocka_unit_test(test_drop_the_mic),
	    cmocka_unit_test(test_replayed),
	    cmocka_unit_test(test_question),
	    cmocka_unit_test(test_confirm),
	    cmocka_unit_test(test_store_challenge),
	    cmocka_unit_test(test_level_names),
	    cmocka_unit_test(test_wiped),
	};
	return cmocka_run_group_tests_name("ntlm_exchange", tests, NULL, NULL);
}
