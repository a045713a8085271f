// sasl_test.c: the AUTH exchange of RFC 5034 with PLAIN (RFC 4616), LOGIN
// (draft-murchison-sasl-login), CRAM-MD5 (RFC 2195) and NTLM ([MS-POP3]), line by
// line as a client sends it.
#include "tests/kit/check.h"

#include <openssl/base64.h>

#include "proxy/pop3/sasl.h"
#include "tests/kit/ntlm.h"
#include "tests/kit/wiped.h"

enum { LINES = 3 };

static const struct ntlm_settings ntlm_settings = {
    .domain = {"MAIL", 4},
    .computer = {"MAIL", 4},
    .challenge = {1, 2, 3, 4, 5, 6, 7, 8},
};
static const struct str certificate_users[] = {STR("anna@a"), STR("bert@a")};

static const struct sasl_settings settings = {
    .ntlm = &ntlm_settings,
    .host = {"mail.example", 12},
    .random = {0xab, 0xcd, 0xef},
    .certificate_users = certificate_users,
    .num_certificate_users = NUM(certificate_users),
    .is_same_user = str_eq_nocase,
};

// One exchange: the initial response, then the client's lines until it is over.
struct row {
	enum mechanism mechanism;
	struct str lines[LINES]; // .at NULL: not sent
	enum sasl_result results[LINES];
	struct str challenges[LINES]; // where results say so
	enum reply reply;             // of SASL_REFUSED
	struct str user, password;    // of SASL_CLAIM
};

// "" as an initial response: none was sent.
static const struct row plain_rows[] = {
    // \0anna\0secret, with and without an initial response
    {MECHANISM_PLAIN, {STR("AGFubmEAc2VjcmV0")}, {SASL_CLAIM}, {{0}}, .user = STR("anna"),
        .password = STR("secret")},
    {MECHANISM_PLAIN, {STR(""), STR("AGFubmEAc2VjcmV0")}, {SASL_CHALLENGE, SASL_CLAIM}, {STR("")},
        .user = STR("anna"), .password = STR("secret")},
    // RFC 4616 section 2: the authorization identity comes first; empty or the user's own
    {MECHANISM_PLAIN, {STR("YW5uYQBhbm5hAHNlY3JldA==")}, {SASL_CLAIM}, {{0}}, .user = STR("anna"),
        .password = STR("secret")},
    {MECHANISM_PLAIN, {STR("cm9vdABhbm5hAHNlY3JldA==")}, {SASL_REFUSED}, {{0}},
        .reply = REPLY_claim},
    {MECHANISM_PLAIN, {STR("QU5OQQBhbm5hAHNlY3JldA==")}, {SASL_REFUSED}, {{0}},
        .reply = REPLY_claim},
    // \0anna\0se cret=: spaces and "=" are a password's
    {MECHANISM_PLAIN, {STR("AGFubmEAc2UgY3JldD0=")}, {SASL_CLAIM}, {{0}}, .user = STR("anna"),
        .password = STR("se cret=")},
    // Latin-1 and UTF-8 as they are
    {MECHANISM_PLAIN, {STR("AOQA/MO8")}, {SASL_CLAIM}, {{0}}, .user = STR("\xe4"),
        .password = STR("\xfc\xc3\xbc")},
    // RFC 5034 section 4: "=" is an initial response of no bytes; PLAIN needs some
    {MECHANISM_PLAIN, {STR("=")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    {MECHANISM_PLAIN, {STR(""), STR("")}, {SASL_CHALLENGE, SASL_REFUSED}, {STR("")},
        .reply = REPLY_claim},
    // no NUL, one NUL, three NULs
    {MECHANISM_PLAIN, {STR("YW5uYQ==")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    {MECHANISM_PLAIN, {STR("AGFubmE=")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    {MECHANISM_PLAIN, {STR("AGFubmEAc2VjAHJldA==")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    // empty user; empty password (RFC 4616 section 2: both 1*SAFE)
    {MECHANISM_PLAIN, {STR("AABzZWNyZXQ=")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    {MECHANISM_PLAIN, {STR("AGFubmEA")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    // control bytes: "an\r\nDELE 1", "secret\n"
    {MECHANISM_PLAIN, {STR("AGFuDQpERUxFIDEAc2VjcmV0")}, {SASL_REFUSED}, {{0}},
        .reply = REPLY_claim},
    {MECHANISM_PLAIN, {STR("AGFubmEAc2VjcmV0Cg==")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    // RFC 5034 section 4: "*" cancels a running exchange
    {MECHANISM_PLAIN, {STR(""), STR("*")}, {SASL_CHALLENGE, SASL_REFUSED}, {STR("")},
        .reply = REPLY_cancelled},
    {MECHANISM_PLAIN, {STR("*")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_base64},
};

static const struct row login_rows[] = {
    {MECHANISM_LOGIN, {STR(""), STR("YW5uYQ=="), STR("c2VjcmV0")},
        {SASL_CHALLENGE, SASL_CHALLENGE, SASL_CLAIM}, {STR("Username:"), STR("Password:")},
        .user = STR("anna"), .password = STR("secret")},
    {MECHANISM_LOGIN, {STR("YW5uYQ=="), STR("c2VjcmV0")}, {SASL_CHALLENGE, SASL_CLAIM},
        {STR("Password:")}, .user = STR("anna"), .password = STR("secret")},
    {MECHANISM_LOGIN, {STR("YSBi"), STR("IGMg")}, {SASL_CHALLENGE, SASL_CLAIM}, {STR("Password:")},
        .user = STR("a b"), .password = STR(" c ")},
    // an empty name, however it is sent, is refused once the password is there
    {MECHANISM_LOGIN, {STR(""), STR(""), STR("c2VjcmV0")},
        {SASL_CHALLENGE, SASL_CHALLENGE, SASL_REFUSED}, {STR("Username:"), STR("Password:")},
        .reply = REPLY_claim},
    {MECHANISM_LOGIN, {STR("="), STR("c2VjcmV0")}, {SASL_CHALLENGE, SASL_REFUSED},
        {STR("Password:")}, .reply = REPLY_claim},
    {MECHANISM_LOGIN, {STR("YW5uYQ=="), STR("")}, {SASL_CHALLENGE, SASL_REFUSED},
        {STR("Password:")}, .reply = REPLY_claim},
    // "*" cancels at either step
    {MECHANISM_LOGIN, {STR(""), STR("*")}, {SASL_CHALLENGE, SASL_REFUSED}, {STR("Username:")},
        .reply = REPLY_cancelled},
    {MECHANISM_LOGIN, {STR("YW5uYQ=="), STR("*")}, {SASL_CHALLENGE, SASL_REFUSED},
        {STR("Password:")}, .reply = REPLY_cancelled},
    // control bytes: "an\rna", "sec\0ret"
    {MECHANISM_LOGIN, {STR("YW4NbmE="), STR("c2VjcmV0")}, {SASL_CHALLENGE, SASL_REFUSED},
        {STR("Password:")}, .reply = REPLY_claim},
    {MECHANISM_LOGIN, {STR("YW5uYQ=="), STR("c2VjAHJldA==")}, {SASL_CHALLENGE, SASL_REFUSED},
        {STR("Password:")}, .reply = REPLY_claim},
    {MECHANISM_LOGIN, {STR("YW5uYQ=="), STR("c2VjcmV")}, {SASL_CHALLENGE, SASL_REFUSED},
        {STR("Password:")}, .reply = REPLY_base64},
};

// RFC 4422 appendix A: the authorization identity, or nothing.
static const struct row external_rows[] = {
    {MECHANISM_EXTERNAL, {STR("=")}, {SASL_CLAIM}, {{0}}, .user = STR("anna@a")},
    {MECHANISM_EXTERNAL, {STR(""), STR("")}, {SASL_CHALLENGE, SASL_CLAIM}, {STR("")},
        .user = STR("anna@a")},
    // ANNA@a, bert@A: as the certificate writes them
    {MECHANISM_EXTERNAL, {STR("QU5OQUBh")}, {SASL_CLAIM}, {{0}}, .user = STR("anna@a")},
    {MECHANISM_EXTERNAL, {STR(""), STR("YmVydEBB")}, {SASL_CHALLENGE, SASL_CLAIM}, {STR("")},
        .user = STR("bert@a")},
    // boss@a, anna, anna@a\0
    {MECHANISM_EXTERNAL, {STR("Ym9zc0Bh")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    {MECHANISM_EXTERNAL, {STR("YW5uYQ==")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    {MECHANISM_EXTERNAL, {STR("YW5uYUBhAA==")}, {SASL_REFUSED}, {{0}}, .reply = REPLY_claim},
    {MECHANISM_EXTERNAL, {STR(""), STR("*")}, {SASL_CHALLENGE, SASL_REFUSED}, {STR("")},
        .reply = REPLY_cancelled},
};

// Fails unless the step's result and what goes with it are as the row says.
static void check_step(
    const struct row *row, size_t step, enum sasl_result result, const struct sasl_answer *answer)
{
	struct str line = row->lines[step];
	check(line, result == row->results[step]);
	if (result == SASL_CHALLENGE) {
		check_str(line, answer->challenge, row->challenges[step]);
	} else if (result == SASL_REFUSED) {
		check(line, answer->reply == row->reply);
		check(line, answer->claim->user.at == NULL);
		check(line, answer->claim->password.at == NULL);
	} else {
		check_str(line, answer->claim->user, row->user);
		check_str(line, secret_reveal(&answer->claim->password), row->password);
		check_str(
		    line, str_of(answer->claim->mechanism), str_of(mechanism_name(row->mechanism)));
	}
}

static void check_exchange(const struct row *row)
{
	struct sasl sasl = {0};
	struct claim claim = {0};
	for (size_t step = 0; step < LINES && row->lines[step].at; step++) {
		struct sasl_answer answer = {.claim = &claim};
		struct str line = row->lines[step];
		check_step(row, step,
		    step ? sasl_continue(&sasl, line, &answer)
		         : sasl_begin(&sasl, &settings, row->mechanism, line, &answer),
		    &answer);
	}
	sasl_done(&sasl);
	claim_done(&claim);
}

static void test_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(plain_rows); i++)
		check_exchange(&plain_rows[i]);
}

static void test_login(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(login_rows); i++)
		check_exchange(&login_rows[i]);
}

static void test_external(void **state)
{
	static const struct sasl_settings none = {.no_certificate_user = "it names nobody"};
	struct sasl sasl = {0};
	struct claim claim = {0};
	struct sasl_answer answer = {.claim = &claim};
	(void)state;
	for (size_t i = 0; i < NUM(external_rows); i++)
		check_exchange(&external_rows[i]);
	assert_int_equal(
	    sasl_begin(&sasl, &none, MECHANISM_EXTERNAL, STR("="), &answer), SASL_REFUSED);
	assert_string_equal(answer.why, "it names nobody");
	sasl_done(&sasl);
}

// RFC 5034 section 4 (with RFC 4648 section 3): what is not base64 is refused,
// never skipped; "=" stands at the end only.
static void test_base64(void **state)
{
	static const struct str rows[] = {STR("AGFubmEAc2VjcmV0="), STR("AGFubmEAc2VjcmV"),
	    STR("AGFubmEA c2VjcmV0"), STR(" AGFubmEAc2VjcmV0"), STR("AGFubmEAc2VjcmV0 "),
	    STR("AGFubmEAc2Vj\ncmV0"), STR("AGFubmEAc2Vj\0cmV"), STR("AGF=bmEAc2VjcmV0"),
	    STR("AGE=AGE="), STR("===="), STR("A==="), STR("=AAA"), STR("AGFubmEA_2Vj"),
	    STR("AGFubmEA-2Vj"), STR("AGFubmEA*2Vj"), STR("\xc3\xa4=="), STR("**"), STR("* ")};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		for (enum mechanism mechanism = 0; mechanism < MECHANISMS; mechanism++) {
			struct row initial = {
			    mechanism, {rows[i]}, {SASL_REFUSED}, {{0}}, .reply = REPLY_base64};
			struct sasl sasl = {0};
			struct claim claim = {0};
			struct sasl_answer answer = {.claim = &claim};
			check_exchange(&initial);
			check(rows[i], sasl_begin(&sasl, &settings, mechanism, STR(""), &answer) ==
			                   SASL_CHALLENGE);
			check(rows[i], sasl_continue(&sasl, rows[i], &answer) == SASL_REFUSED);
			check(rows[i], answer.reply == REPLY_base64);
			sasl_done(&sasl);
		}
	}
	struct row lone = {MECHANISM_PLAIN, {STR(""), STR("=")}, {SASL_CHALLENGE, SASL_REFUSED},
	    {STR("")}, .reply = REPLY_base64}; // "=" is for initial responses only
	check_exchange(&lone);
}

static struct str encode(char *room, size_t size, struct str s)
{
	assert_in_range(s.len / 3 * 4 + 5, 0, size);
	return (struct str){room, EVP_EncodeBlock((uint8_t *)room, (const uint8_t *)s.at, s.len)};
}

// CLAIM_PART_MAX is the last length that a store's USER and PASS can carry.
static void test_limits(void **state)
{
	static const struct {
		size_t user, password;
		enum sasl_result result;
	} rows[] = {
	    {CLAIM_PART_MAX, CLAIM_PART_MAX, SASL_CLAIM},
	    {CLAIM_PART_MAX + 1, 1, SASL_REFUSED},
	    {1, CLAIM_PART_MAX + 1, SASL_REFUSED},
	    {4000, 4000, SASL_REFUSED},
	};
	static char part[4000], message[9000], base64[SASL_LINE_MAX];
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct text text = TEXT(message);
		text_add_char(&text, '\0');
		text_add(&text, check_fill(part, sizeof(part), 'u', rows[i].user));
		text_add_char(&text, '\0');
		text_add(&text, check_fill(part, sizeof(part), 'p', rows[i].password));
		struct sasl sasl = {0};
		struct claim claim = {0};
		struct sasl_answer answer = {.claim = &claim};
		struct str line = encode(base64, sizeof(base64), text_str(&text));
		assert_int_equal(
		    sasl_begin(&sasl, &settings, MECHANISM_PLAIN, line, &answer), rows[i].result);
		if (rows[i].result == SASL_REFUSED)
			assert_int_equal(answer.reply, REPLY_claim);
		else
			assert_int_equal(claim.user.len, rows[i].user);
		sasl_done(&sasl);
		claim_done(&claim);
	}
}

// The longest line the session lets through (CR LF not counted), and beyond.
static void test_longest_line(void **state)
{
	static const struct {
		size_t len;
		enum reply reply;
	} rows[] = {
	    {SASL_LINE_MAX - 4, REPLY_claim}, // decoded, and then no claim
	    {SASL_LINE_MAX, REPLY_claim},
	    {SASL_LINE_MAX - 2, REPLY_base64}, // no multiple of 4
	    {2 * SASL_LINE_MAX, REPLY_base64},
	};
	static char room[2 * SASL_LINE_MAX];
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct sasl sasl = {0};
		struct claim claim = {0};
		struct sasl_answer answer = {.claim = &claim};
		struct str line = check_fill(room, sizeof(room), 'A', rows[i].len);
		assert_int_equal(
		    sasl_begin(&sasl, &settings, MECHANISM_PLAIN, line, &answer), SASL_REFUSED);
		assert_int_equal(answer.reply, rows[i].reply);
		sasl_done(&sasl);
	}
}

static void test_mechanisms(void **state)
{
	static const struct {
		struct str name;
		enum mechanism mechanism;
	} rows[] = {
	    {STR("PLAIN"), MECHANISM_PLAIN},
	    {STR("plain"), MECHANISM_PLAIN},
	    {STR("Login"), MECHANISM_LOGIN},
	    {STR(""), MECHANISMS},
	    {STR("PLAI"), MECHANISMS},
	    {STR("PLAINX"), MECHANISMS},
	    {STR("PLAIN\0"), MECHANISMS},
	    {STR("ntlm"), MECHANISM_NTLM},
	    {STR("msn"), MECHANISM_MSN},
	    {STR("CRAM-MD5"), MECHANISM_CRAM_MD5},
	    {STR("CRAM_MD5"), MECHANISMS},
	    {STR("NTLMv2"), MECHANISMS},
	    {STR("external"), MECHANISM_EXTERNAL},
	    {STR("DIGEST-MD5"), MECHANISMS},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i].name, mechanism_find(rows[i].name) == rows[i].mechanism);
	assert_int_equal(mechanism_claim(MECHANISM_PLAIN), CLAIM_plain);
	assert_int_equal(mechanism_claim(MECHANISM_LOGIN), CLAIM_plain);
	assert_int_equal(mechanism_claim(MECHANISM_NTLM), CLAIM_ntlm);
	assert_int_equal(mechanism_claim(MECHANISM_MSN), CLAIM_msn);
	assert_int_equal(mechanism_claim(MECHANISM_CRAM_MD5), CLAIM_digest);
	assert_string_equal(mechanism_name(MECHANISM_CRAM_MD5), "CRAM-MD5");
}

// An exchange that was given up leaves nothing to the next one.
static void test_begins_afresh(void **state)
{
	struct sasl sasl = {0};
	struct claim claim = {0};
	struct sasl_answer answer = {.claim = &claim};
	(void)state;
	assert_int_equal(sasl_begin(&sasl, &settings, MECHANISM_LOGIN, STR("YW5uYQ=="), &answer),
	    SASL_CHALLENGE);
	assert_int_equal(sasl_continue(&sasl, STR("*"), &answer), SASL_REFUSED);
	assert_int_equal(
	    sasl_begin(&sasl, &settings, MECHANISM_LOGIN, STR(""), &answer), SASL_CHALLENGE);
	assert_true(str_eq(answer.challenge, STR("Username:")));
	assert_int_equal(sasl_continue(&sasl, STR("YmVydGE="), &answer), SASL_CHALLENGE);
	assert_int_equal(sasl_continue(&sasl, STR("c2VjcmV0"), &answer), SASL_CLAIM);
	assert_true(str_eq(claim.user, STR("berta")));
	sasl_done(&sasl);
	claim_done(&claim);
}

static void test_done_is_empty(void **state)
{
	struct sasl sasl = {0};
	struct sasl_answer answer = {0};
	(void)state;
	assert_int_equal(sasl_begin(&sasl, &settings, MECHANISM_LOGIN, STR("YW5uYQ=="), &answer),
	    SASL_CHALLENGE);
	assert_non_null(sasl.kept.at);
	sasl_done(&sasl);
	assert_null(sasl.kept.at);
	assert_int_equal(sasl.step, 0);
	sasl_done(&sasl);
}

// Neither an exchange that succeeds nor one that fails leaves the secrets.
static void test_wiped(void **state)
{
	static const struct str names[] = {STR("YW5uYQ=="), STR("YW4NbmE=")};
	(void)state;
	wiped_watch(STR("sesame"));
	for (size_t i = 0; i < NUM(names); i++) {
		struct sasl sasl = {0};
		struct claim claim = {0};
		struct sasl_answer answer = {.claim = &claim};
		sasl_begin(&sasl, &settings, MECHANISM_LOGIN, names[i], &answer);
		assert_int_equal(sasl_continue(&sasl, STR("b3BlbiBzZXNhbWU="), &answer),
		    i ? SASL_REFUSED : SASL_CLAIM);
		sasl_begin(&sasl, &settings, MECHANISM_LOGIN, STR("b3BlbiBzZXNhbWU="), &answer);
		sasl_done(&sasl);
		claim_done(&claim);
	}
	assert_int_equal(wiped_leaks(), 0);
}

// ---- CRAM-MD5 -----------------------------------------------------------

#define CRAM_CHALLENGE "<abcdef00000000000000000000000000@mail.example>"

static struct str cram_line(char *room, size_t size, const char *user)
{
	char text_room[128];
	struct text text = TEXT(text_room);
	uint8_t response[DIGEST_SIZE];
	digest_respond(DIGEST_cram_md5, STR(CRAM_CHALLENGE), STR("sesame"), response);
	text_addf(&text, "%s ", user);
	digest_add_hex(&text, response);
	return encode(room, size, text_str(&text));
}

static void test_cram_md5(void **state)
{
	char line[256];
	struct sasl sasl = {0};
	struct claim claim = {0};
	struct sasl_answer answer = {.claim = &claim};
	(void)state;
	assert_int_equal(
	    sasl_begin(&sasl, &settings, MECHANISM_CRAM_MD5, STR(""), &answer), SASL_CHALLENGE);
	check_str(STR("challenge"), answer.challenge, STR(CRAM_CHALLENGE));
	assert_int_equal(
	    sasl_continue(&sasl, cram_line(line, sizeof(line), "anna b"), &answer), SASL_CLAIM);
	sasl_done(&sasl);
	assert_int_equal(claim.kind, CLAIM_digest);
	check_str(STR("user"), claim.user, STR("anna b"));
	assert_string_equal(claim.mechanism, "CRAM-MD5");
	assert_true(digest_matches(&claim.digest, STR("sesame")));
	assert_false(digest_matches(&claim.digest, STR("Sesame")));
	claim_done(&claim);
}

static void test_cram_md5_refused(void **state)
{
	char line[256];
	const struct {
		struct str initial, line;
		enum reply reply;
	} rows[] = {
	    // RFC 5034 section 4: the server speaks first
	    {cram_line(line, sizeof(line), "anna"), {0}, REPLY_claim},
	    {STR("="), {0}, REPLY_claim},
	    {STR(""), STR(""), REPLY_claim},
	    {STR(""), STR("YW5uYQ=="), REPLY_claim},
	    {STR(""), STR("*"), REPLY_cancelled},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct sasl sasl = {0};
		struct claim claim = {0};
		struct sasl_answer answer = {.claim = &claim};
		enum sasl_result result =
		    sasl_begin(&sasl, &settings, MECHANISM_CRAM_MD5, rows[i].initial, &answer);
		if (rows[i].line.at) {
			check(rows[i].line, result == SASL_CHALLENGE);
			result = sasl_continue(&sasl, rows[i].line, &answer);
		}
		check(rows[i].line, result == SASL_REFUSED);
		check(rows[i].line, answer.reply == rows[i].reply);
		assert_null(claim.user.at);
		sasl_done(&sasl);
	}
}

// ---- NTLM ---------------------------------------------------------------

#define TYPE_1 "TlRMTVNTUAABAAAAB4IAAA==" // 16 bytes, Unicode and OEM
#define NOT_TYPE_1 "TlRMTVNTUAADAAAAB4IAAA=="

// A type 3 that answers the challenge just given.
static struct str type_3(char *room, size_t size, struct str challenge)
{
	char rooms[2][1024];
	struct text text = TEXT(rooms[0]), type_1 = TEXT(rooms[1]);
	struct str negotiate = ntlm_from_base64(TYPE_1, &type_1);
	forge(&(struct forge){0}, negotiate, challenge, &text);
	return encode(room, size, text_str(&text));
}

static void finish_ntlm(struct sasl *sasl, struct sasl_answer *answer, const char *mechanism)
{
	char line[2048];
	uint8_t hash[NTLM_KEY];
	const char *why = NULL;
	struct claim *claim = answer->claim;
	assert_int_equal(
	    sasl_continue(sasl, type_3(line, sizeof(line), answer->challenge), answer), SASL_CLAIM);
	sasl_done(sasl);
	assert_int_equal(claim->kind, CLAIM_ntlm);
	check_str(STR("user"), claim->user, STR("MAIL\\anna"));
	assert_string_equal(claim->mechanism, mechanism);
	assert_true(ntlm_nt_hash(STR("secret"), hash));
	assert_true(ntlm_exchange_prove(claim->ntlm, hash, &why));
	claim_done(claim);
}

static void test_ntlm(void **state)
{
	static const struct {
		enum mechanism mechanism;
		struct str initial;
	} rows[] = {
	    {MECHANISM_NTLM, STR("")},
	    {MECHANISM_NTLM, STR(TYPE_1)},
	    {MECHANISM_MSN, STR("")},
	    {MECHANISM_MSN, STR(TYPE_1)},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct sasl sasl = {0};
		struct claim claim = {0};
		struct sasl_answer answer = {.claim = &claim};
		enum sasl_result result =
		    sasl_begin(&sasl, &settings, rows[i].mechanism, rows[i].initial, &answer);
		assert_int_equal(result, SASL_CHALLENGE);
		if (!rows[i].initial.len) {
			check_str(STR("empty"), answer.challenge, STR(""));
			result = sasl_continue(&sasl, STR(TYPE_1), &answer);
			assert_int_equal(result, SASL_CHALLENGE);
		}
		assert_true(str_starts_nocase(answer.challenge, STR("NTLMSSP\0\2\0\0\0")));
		finish_ntlm(&sasl, &answer, mechanism_name(rows[i].mechanism));
	}
}

// Whatever is wrong, one text for all; the log is told more.
static void test_ntlm_refused(void **state)
{
	static const struct {
		struct str lines[LINES]; // the first is the initial response
		enum reply reply;
		const char *why;
	} rows[] = {
	    {{STR("=")}, REPLY_claim, "not an NTLM message of type 1"},
	    {{STR(NOT_TYPE_1)}, REPLY_claim, "not an NTLM message of type 1"},
	    {{STR("TlRMTVNTUAABAAAABIIAAA==")}, REPLY_claim,
	        "type 1 offers neither Unicode nor OEM"},
	    {{STR(""), STR("")}, REPLY_claim, "not an NTLM message of type 1"},
	    {{STR(""), STR("*")}, REPLY_cancelled, NULL},
	    {{STR(""), STR("!")}, REPLY_base64, NULL},
	    {{STR(TYPE_1), STR("*")}, REPLY_cancelled, NULL},
	    {{STR(TYPE_1), STR("")}, REPLY_claim, "not an NTLM message of type 3"},
	    {{STR(TYPE_1), STR(TYPE_1)}, REPLY_claim, "not an NTLM message of type 3"},
	    {{STR(TYPE_1), STR(POP3_AUTHENTICATE)}, REPLY_claim, "NTLMv1 is not allowed"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct sasl sasl = {0};
		struct claim claim = {0};
		struct sasl_answer answer = {.claim = &claim};
		enum sasl_result result = SASL_CHALLENGE;
		for (size_t step = 0; step < LINES && rows[i].lines[step].at; step++) {
			struct str line = rows[i].lines[step];
			assert_int_equal(result, SASL_CHALLENGE);
			result = step ? sasl_continue(&sasl, line, &answer)
			              : sasl_begin(&sasl, &settings, MECHANISM_NTLM, line, &answer);
		}
		check(rows[i].lines[1], result == SASL_REFUSED);
		check(rows[i].lines[1], answer.reply == rows[i].reply);
		check_str(rows[i].lines[1], str_of(answer.why), str_of(rows[i].why));
		assert_null(claim.user.at);
		sasl_done(&sasl);
		assert_null(sasl.ntlm);
	}
}

static struct sasl_settings relayed_settings(const struct ntlm_settings *ntlm)
{
	return (struct sasl_settings){.ntlm = ntlm, .ntlm_relayed = true};
}

// [MS-POP3] section 4.1 from its first line to its last, the store being another.
static void test_ntlm_relayed(void **state)
{
	struct ntlm_settings ntlm = {.level = NTLM_LEVEL_ntlm2};
	struct sasl_settings relayed = relayed_settings(&ntlm);
	char rooms[3][1024], line_room[1024];
	struct text type_1 = TEXT(rooms[0]), type_2 = TEXT(rooms[1]), type3 = TEXT(rooms[2]);
	struct text line = TEXT(line_room);
	struct sasl sasl = {0};
	struct claim claim = {0};
	struct sasl_answer answer = {.claim = &claim};
	(void)state;
	assert_int_equal(
	    sasl_begin(&sasl, &relayed, MECHANISM_NTLM, STR(""), &answer), SASL_CHALLENGE);
	check_str(STR("empty"), answer.challenge, STR(""));
	assert_int_equal(sasl_continue(&sasl, STR(POP3_NEGOTIATE), &answer), SASL_ASK);
	check_str(STR("type 1"), answer.token, ntlm_from_base64(POP3_NEGOTIATE, &type_1));
	check_str(STR("domain"), answer.domain, STR(""));
	assert_int_equal(
	    sasl_relay(&sasl, ntlm_from_base64(POP3_CHALLENGE, &type_2), &answer), SASL_CHALLENGE);
	reply_continuation(&line, answer.challenge);
	check_str(STR("type 2"), text_str(&line), STR("+ " POP3_CHALLENGE "\r\n"));
	assert_int_equal(sasl_continue(&sasl, STR(POP3_AUTHENTICATE), &answer), SASL_CLAIM);
	sasl_done(&sasl);
	check_str(STR("user"), claim.user, STR("user"));
	assert_string_equal(claim.variant, "ntlm2");
	assert_null(claim.ntlm);
	check_str(STR("type 3"), secret_reveal(&claim.token),
	    ntlm_from_base64(POP3_AUTHENTICATE, &type3));
	claim_done(&claim);
}

static void test_ntlm_relayed_refused(void **state)
{
	static const struct {
		const char *challenge, *response;
		enum reply reply;
		const char *why;
	} rows[] = {
	    // the store's mistake
	    {POP3_AUTHENTICATE, NULL, REPLY_unavailable, "not an NTLM message of type 2"},
	    // what our own level and checks forbid, the store never sees
	    {POP3_CHALLENGE, POP3_AUTHENTICATE, REPLY_claim,
	        "NTLM2 session security is not allowed"},
	    {POP3_CHALLENGE, CURL_AUTHENTICATE, REPLY_claim,
	        "names in another coding than was agreed on"},
	};
	struct ntlm_settings ntlm = {.level = NTLM_LEVEL_v2};
	struct sasl_settings relayed = relayed_settings(&ntlm);
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[1024];
		struct text text = TEXT(room);
		struct sasl sasl = {0};
		struct claim claim = {0};
		struct sasl_answer answer = {.claim = &claim};
		assert_int_equal(
		    sasl_begin(&sasl, &relayed, MECHANISM_NTLM, STR(POP3_NEGOTIATE), &answer),
		    SASL_ASK);
		enum sasl_result result =
		    sasl_relay(&sasl, ntlm_from_base64(rows[i].challenge, &text), &answer);
		if (rows[i].response) {
			assert_int_equal(result, SASL_CHALLENGE);
			result = sasl_continue(&sasl, str_of(rows[i].response), &answer);
		}
		assert_int_equal(result, SASL_REFUSED);
		assert_int_equal(answer.reply, rows[i].reply);
		check_str(STR("why"), str_of(answer.why), str_of(rows[i].why));
		assert_null(claim.user.at);
		sasl_done(&sasl);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_external),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_longest_line),
	    cmocka_unit_test(test_mechanisms),
	    cmocka_unit_test(test_begins_afresh),
	    cmocka_unit_test(test_done_is_empty),
	    cmocka_unit_test(test_wiped),
	    cmocka_unit_test(test_cram_md5),
	    cmocka_unit_test(test_cram_md5_refused),
	    cmocka_unit_test(test_ntlm),
	    cmocka_unit_test(test_ntlm_refused),
	    cmocka_unit_test(test_ntlm_relayed),
	    cmocka_unit_test(test_ntlm_relayed_refused),
	};
	return cmocka_run_group_tests_name("sasl", tests, NULL, NULL);
}
