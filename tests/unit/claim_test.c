// claim_test.c: a claim is made only of what can be sent to a store in a USER
// and a PASS command as it is (RFC 1939 section 7; RFC 2449 section 4: 255
// bytes), and forgets its password, digest or messages when told.
#include "tests/kit/check.h"

#include "proxy/pop3/claim.h"
#include "tests/kit/ntlm.h"
#include "tests/kit/wiped.h"

static const struct {
	struct str user, password;
	bool valid;
} rows[] = {
    {STR("anna"), STR("secret"), true},
    {STR("anna b"), STR(" a b "), true},
    {STR("\xe4nna"), STR("\xfc"), true}, // Latin-1 passes as it is
    {STR("DOM\\anna"), STR("="), true},
    {STR(""), STR("secret"), false},
    {STR("anna\r\nDELE 1"), STR("secret"), false},
    {STR("anna"), STR("secret\r\nDELE 1"), false},
    {STR("an\0na"), STR("secret"), false},
    {STR("anna"), STR("sec\0ret"), false},
    {STR("anna\t"), STR("secret"), false},
    {STR("anna"), STR("secret\x7f"), false},
};

static void test_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct claim claim = {0};
		bool valid = claim_plain(&claim, "PLAIN", rows[i].user, rows[i].password);
		check(rows[i].user, valid == rows[i].valid);
		if (valid) {
			check(rows[i].user, claim.kind == CLAIM_plain);
			check_str(rows[i].user, claim.user, rows[i].user);
			check(rows[i].user, secret_equals(&claim.password, rows[i].password));
			assert_string_equal(claim.mechanism, "PLAIN");
		}
		claim_done(&claim);
	}
}

// Exactly "USER " or "PASS ", CR LF and this in 255 bytes.
static void test_longest(void **state)
{
	static const struct {
		size_t user, password;
		bool valid;
	} lengths[] = {
	    {248, 248, true},
	    {249, 1, false},
	    {1, 249, false},
	};
	char user[256], password[256];
	(void)state;
	assert_int_equal(strlen("USER ") + CLAIM_PART_MAX + strlen("\r\n"), 255);
	for (size_t i = 0; i < NUM(lengths); i++) {
		struct claim claim = {0};
		assert_true(claim_plain(&claim, "PLAIN",
		                check_fill(user, sizeof(user), 'u', lengths[i].user),
		                check_fill(password, sizeof(password), 'p', lengths[i].password)) ==
		            lengths[i].valid);
		claim_done(&claim);
	}
}

static void test_is_a_copy(void **state)
{
	char user[] = "anna", password[] = "secret";
	struct claim claim = {0};
	(void)state;
	assert_true(claim_plain(&claim, "USER", str_of(user), str_of(password)));
	memset(user, 'x', 4);
	memset(password, 'x', 6);
	assert_true(str_eq(claim.user, STR("anna")));
	assert_true(secret_equals(&claim.password, STR("secret")));
	claim_done(&claim);
	assert_null(claim.user.at);
	assert_null(claim.password.at);
	claim_done(&claim);
}

// A second try replaces the first, and a refused one leaves it.
static void test_again(void **state)
{
	struct claim claim = {0};
	(void)state;
	assert_true(claim_plain(&claim, "USER", STR("anna"), STR("first")));
	assert_true(claim_plain(&claim, "PLAIN", STR("berta"), STR("second")));
	assert_false(claim_plain(&claim, "LOGIN", STR(""), STR("third")));
	assert_true(str_eq(claim.user, STR("berta")));
	assert_true(secret_equals(&claim.password, STR("second")));
	claim_done(&claim);
}

static void test_forgets(void **state)
{
	struct claim claim = {0};
	(void)state;
	wiped_watch(STR("sesame"));
	assert_true(claim_plain(&claim, "USER", STR("anna"), STR("open sesame")));
	claim_forget_password(&claim);
	assert_null(claim.password.at);
	assert_true(str_eq(claim.user, STR("anna")));
	assert_true(claim_plain(&claim, "USER", STR("anna"), STR("sesame again")));
	claim_done(&claim);
	assert_int_equal(wiped_leaks(), 0);
}

// ---- digests ------------------------------------------------------------

#define HEX "c4c9334bac560ecc979e58001b3e22fb"

static void test_digest(void **state)
{
	static const struct {
		struct str text, user; // user.at NULL: no claim
	} digests[] = {
	    {STR("anna " HEX), STR("anna")},
	    {STR("DOM\\anna " HEX), STR("DOM\\anna")},
	    {STR("anna"), {0}},
	    {STR("anna " HEX "00"), {0}},
	    {STR(" " HEX), {0}},
	    {STR("anna\r\nDELE 1 " HEX), {0}},
	    {STR("an\0na " HEX), {0}},
	};
	(void)state;
	for (size_t i = 0; i < NUM(digests); i++) {
		struct claim claim = {0};
		bool made =
		    claim_digest(&claim, "APOP", DIGEST_apop, STR("<1@a>"), digests[i].text);
		check(digests[i].text, made == !!digests[i].user.at);
		check_str(digests[i].text, claim.user, digests[i].user);
		if (made) {
			check(digests[i].text, claim.kind == CLAIM_digest);
			check(digests[i].text, claim.digest.how == DIGEST_apop);
			check_str(digests[i].text, claim.digest.challenge, STR("<1@a>"));
			assert_int_equal(claim.digest.response[15], 0xfb);
		}
		claim_done(&claim);
	}
}

// ---- NTLM ---------------------------------------------------------------

// A finished exchange of `user` in `domain`.
static struct ntlm_exchange *exchange_of(struct str user, struct str domain, bool relayed)
{
	static struct ntlm_settings settings = {.domain = {"MAIL", 4}, .computer = {"MAIL", 4}};
	char rooms[3][2048];
	struct text negotiate = TEXT(rooms[0]), type3 = TEXT(rooms[1]), type2 = TEXT(rooms[2]);
	const char *why = NULL;
	ntlm_write_negotiate(NTLM_UNICODE, &negotiate);
	struct str type1 = text_str(&negotiate);
	struct str challenge = ntlm_from_hex(NLMP_V2_CHALLENGE, &type2);
	struct ntlm_exchange *exchange = relayed ? ntlm_exchange_relay(&settings, type1, &why)
	                                         : ntlm_exchange_begin(&settings, type1, &why);
	assert_non_null(exchange);
	if (relayed)
		assert_true(ntlm_exchange_take_challenge(exchange, challenge, &why));
	forge(&(struct forge){.user = user, .domain = domain}, type1,
	    ntlm_exchange_challenge(exchange), &type3);
	assert_true(ntlm_exchange_finish(exchange, text_str(&type3), &why));
	return exchange;
}

static void test_ntlm(void **state)
{
	static const struct {
		struct str user, domain;
		const char *claimed;
	} names[] = {
	    {WIDE("anna"), WIDE("MAIL"), "MAIL\\anna"},
	    {WIDE("anna"), WIDE(""), "anna"},
	    {WIDE("anna@lab.test"), WIDE(""), "anna@lab.test"},
	    {STR("\xe4\0"), WIDE("MAIL"), "MAIL\\\xc3\xa4"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(names); i++) {
		struct claim claim = {0};
		struct ntlm_exchange *exchange = exchange_of(names[i].user, names[i].domain, false);
		assert_true(claim_ntlm(&claim, "NTLM", &exchange));
		assert_null(exchange);
		assert_int_equal(claim.kind, CLAIM_ntlm);
		check_str(names[i].user, claim.user, str_of(names[i].claimed));
		assert_string_equal(claim.mechanism, "NTLM");
		assert_string_equal(claim.variant, "v2");
		assert_non_null(claim.ntlm);
		assert_null(claim.token.at);
		claim_forget_password(&claim);
		assert_null(claim.ntlm);
		check_str(names[i].user, claim.user, str_of(names[i].claimed));
		assert_string_equal(claim.variant, "v2");
		claim_done(&claim);
	}
}

static void test_relayed(void **state)
{
	struct claim claim = {0};
	struct ntlm_exchange *exchange = exchange_of(WIDE("anna"), WIDE("LAB"), true);
	(void)state;
	assert_true(claim_relayed(&claim, "MSN", exchange, STR("the token")));
	ntlm_exchange_free(&exchange);
	assert_int_equal(claim.kind, CLAIM_ntlm);
	check_str(STR("user"), claim.user, STR("LAB\\anna"));
	assert_true(secret_equals(&claim.token, STR("the token")));
	assert_null(claim.ntlm);
	claim_done(&claim);
}

// A domain and a user that fit by themselves, and together with the backslash just
// so, or not.
static void test_longest_ntlm(void **state)
{
	static const struct {
		size_t domain, user;
		bool valid;
	} lengths[] = {
	    {47, 200, true},
	    {48, 200, false},
	    {0, 248, true},
	    {0, 249, false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(lengths); i++) {
		char user[600], domain[600];
		for (size_t j = 0; j < sizeof(user); j++)
			user[j] = domain[j] = j % 2 ? 0 : 'x';
		struct claim claim = {0};
		struct ntlm_exchange *exchange =
		    exchange_of((struct str){user, 2 * lengths[i].user},
		        (struct str){domain, 2 * lengths[i].domain}, false);
		assert_true(claim_plain(&claim, "USER", STR("berta"), STR("secret")));
		assert_true(claim_ntlm(&claim, "NTLM", &exchange) == lengths[i].valid);
		assert_true(!exchange == lengths[i].valid);
		assert_true(str_eq(claim.user, STR("berta")) == !lengths[i].valid);
		ntlm_exchange_free(&exchange);
		claim_done(&claim);
	}
}

static void test_forgets_others(void **state)
{
	struct claim claim = {0};
	struct ntlm_exchange *exchange = exchange_of(WIDE("anna"), WIDE("LAB"), true);
	(void)state;
	wiped_watch(STR("sesame"));
	assert_true(claim_relayed(&claim, "NTLM", exchange, STR("open sesame")));
	claim_forget_password(&claim);
	assert_null(claim.token.at);
	assert_true(claim_digest(&claim, "APOP", DIGEST_apop, STR("<1@a>"), STR("anna " HEX)));
	claim_forget_password(&claim);
	assert_null(claim.digest.challenge.at);
	assert_int_equal(claim.digest.response[0], 0);
	assert_true(str_eq(claim.user, STR("anna")));
	assert_null(claim.variant);
	claim_done(&claim);
	ntlm_exchange_free(&exchange);
	assert_int_equal(wiped_leaks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_is_a_copy),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_forgets),
	    cmocka_unit_test(test_digest),
	    cmocka_unit_test(test_ntlm),
	    cmocka_unit_test(test_relayed),
	    cmocka_unit_test(test_longest_ntlm),
	    cmocka_unit_test(test_forgets_others),
	};
	return cmocka_run_group_tests_name("claim", tests, NULL, NULL);
}
