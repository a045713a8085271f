// sasl_test.c: the AUTH exchange of RFC 5034 with PLAIN (RFC 4616) and LOGIN
// (draft-murchison-sasl-login), line by line as a client sends it.
#include "tests/kit/check.h"

#include <openssl/base64.h>

#include "proxy/pop3/sasl.h"
#include "tests/kit/wiped.h"

enum { LINES = 3 };

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
		         : sasl_begin(&sasl, NULL, row->mechanism, line, &answer),
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
			check(rows[i],
			    sasl_begin(&sasl, NULL, mechanism, STR(""), &answer) == SASL_CHALLENGE);
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
		    sasl_begin(&sasl, NULL, MECHANISM_PLAIN, line, &answer), rows[i].result);
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
		    sasl_begin(&sasl, NULL, MECHANISM_PLAIN, line, &answer), SASL_REFUSED);
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
	    {STR("CRAM-MD5"), MECHANISMS},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i].name, mechanism_find(rows[i].name) == rows[i].mechanism);
	assert_int_equal(mechanism_claim(MECHANISM_PLAIN), CLAIM_plain);
	assert_int_equal(mechanism_claim(MECHANISM_LOGIN), CLAIM_plain);
}

// An exchange that was given up leaves nothing to the next one.
static void test_begins_afresh(void **state)
{
	struct sasl sasl = {0};
	struct claim claim = {0};
	struct sasl_answer answer = {.claim = &claim};
	(void)state;
	assert_int_equal(
	    sasl_begin(&sasl, NULL, MECHANISM_LOGIN, STR("YW5uYQ=="), &answer), SASL_CHALLENGE);
	assert_int_equal(sasl_continue(&sasl, STR("*"), &answer), SASL_REFUSED);
	assert_int_equal(
	    sasl_begin(&sasl, NULL, MECHANISM_LOGIN, STR(""), &answer), SASL_CHALLENGE);
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
	assert_int_equal(
	    sasl_begin(&sasl, NULL, MECHANISM_LOGIN, STR("YW5uYQ=="), &answer), SASL_CHALLENGE);
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
		sasl_begin(&sasl, NULL, MECHANISM_LOGIN, names[i], &answer);
		assert_int_equal(sasl_continue(&sasl, STR("b3BlbiBzZXNhbWU="), &answer),
		    i ? SASL_REFUSED : SASL_CLAIM);
		sasl_begin(&sasl, NULL, MECHANISM_LOGIN, STR("b3BlbiBzZXNhbWU="), &answer);
		sasl_done(&sasl);
		claim_done(&claim);
	}
	assert_int_equal(wiped_leaks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_longest_line),
	    cmocka_unit_test(test_mechanisms),
	    cmocka_unit_test(test_begins_afresh),
	    cmocka_unit_test(test_done_is_empty),
	    cmocka_unit_test(test_wiped),
	};
	return cmocka_run_group_tests_name("sasl", tests, NULL, NULL);
}
