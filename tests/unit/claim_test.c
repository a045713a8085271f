// claim_test.c: a claim is made only of what can be sent to a store in a USER
// and a PASS command as it is (RFC 1939 section 7; RFC 2449 section 4: 255
// bytes), and forgets its password when told.
#include "tests/kit/check.h"

#include "proxy/pop3/claim.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_is_a_copy),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_forgets),
	};
	return cmocka_run_group_tests_name("claim", tests, NULL, NULL);
}
