// secret_test.c: a secret is a copy, equal to its own bytes only, and wiped
// before its memory is given back.
#include "tests/kit/check.h"

#include <stdlib.h>

#include "proxy/base/secret.h"
#include "tests/kit/wiped.h"

static void test_zero_state(void **state)
{
	struct secret secret = {0};
	(void)state;
	assert_int_equal(secret_reveal(&secret).len, 0);
	assert_true(secret_equals(&secret, STR("")));
	assert_false(secret_equals(&secret, STR("a")));
	secret_done(&secret);
	secret_done(&secret);
	assert_null(secret.at);
}

static void test_is_a_copy(void **state)
{
	char password[] = "open sesame";
	struct secret secret = {0};
	(void)state;
	secret_set(&secret, str_of(password));
	memset(password, 'x', sizeof(password));
	assert_true(str_eq(secret_reveal(&secret), STR("open sesame")));
	secret_done(&secret);
	assert_null(secret.at);
	assert_int_equal(secret.len, 0);
}

static void test_set_again(void **state)
{
	struct secret secret = {0};
	(void)state;
	secret_set(&secret, STR("first"));
	secret_set(&secret, STR("a longer second"));
	assert_true(secret_equals(&secret, STR("a longer second")));
	secret_set(&secret, str_drop(secret_reveal(&secret), 9)); // from its own bytes
	assert_true(secret_equals(&secret, STR("second")));
	secret_set(&secret, STR(""));
	assert_non_null(secret.at); // an empty secret is not "no secret"
	assert_int_equal(secret.len, 0);
	secret_done(&secret);
}

static void test_equals(void **state)
{
	static const struct {
		struct str secret, other;
		bool same;
	} rows[] = {
	    {STR("pass"), STR("pass"), true},
	    {STR("pass"), STR("Pass"), false},
	    {STR("pass"), STR("pasS"), false},
	    {STR("pass"), STR("pas"), false},
	    {STR("pass"), STR("passw"), false},
	    {STR("pa\0ss"), STR("pa\0ss"), true},
	    {STR("pa\0ss"), STR("pa\0st"), false},
	    {STR("\xe4"), STR("\xe4"), true},
	    {STR("\xe4"), STR("\x64"), false},
	    {STR(""), STR(""), true},
	    {STR(""), STR("\0"), false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct secret secret = {0};
		secret_set(&secret, rows[i].secret);
		check(rows[i].secret, secret_equals(&secret, rows[i].other) == rows[i].same);
		secret_done(&secret);
	}
}

static void test_wiped(void **state)
{
	struct secret secret = {0};
	(void)state;
	wiped_watch(STR("sesame"));
	free(str_dup(STR("open sesame")));
	assert_int_equal(wiped_leaks(), 1); // the watch works
	wiped_watch(STR("sesame"));
	secret_set(&secret, STR("open sesame"));
	secret_set(&secret, STR("another"));
	secret_set(&secret, STR("sesame again"));
	secret_done(&secret);
	assert_int_equal(wiped_leaks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_zero_state),
	    cmocka_unit_test(test_is_a_copy),
	    cmocka_unit_test(test_set_again),
	    cmocka_unit_test(test_equals),
	    cmocka_unit_test(test_wiped),
	};
	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
