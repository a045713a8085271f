// tls_names_test.c: names in certificates against names that clients ask for.
#include "tests/kit/check.h"

#include "proxy/net/tls_names.h"

static const struct {
	struct str pattern, name;
	enum tls_match match;
} pairs[] = {
    {STR("pop.test"), STR("pop.test"), TLS_MATCH_exact},
    {STR("pop.test"), STR("POP.Test"), TLS_MATCH_exact},
    {STR("pop.test"), STR("pop.tes"), TLS_MATCH_none},
    {STR("pop.test"), STR("a.pop.test"), TLS_MATCH_none},
    {STR("*.test"), STR("pop.test"), TLS_MATCH_wildcard},
    {STR("*.test"), STR("pop.TEST"), TLS_MATCH_wildcard},
    {STR("*.test"), STR("a.pop.test"), TLS_MATCH_none},
    {STR("*.test"), STR("test"), TLS_MATCH_none},
    {STR("*.test"), STR(".test"), TLS_MATCH_none},
    {STR("*.test"), STR("*.test"), TLS_MATCH_exact},
    {STR("pop.test"), STR("pop.test."), TLS_MATCH_exact},
    {STR("*.test"), STR("pop.test."), TLS_MATCH_wildcard},
    {STR("pop.test"), STR("pop.test.."), TLS_MATCH_none},
    {STR("pop.test."), STR("pop.test."), TLS_MATCH_none},
    {STR("*.test"), STR(".test."), TLS_MATCH_none},
    {STR("*."), STR("pop."), TLS_MATCH_none},
    {STR("*."), STR("pop.."), TLS_MATCH_none},
    {STR("*"), STR("test"), TLS_MATCH_none},
    {STR("p*.test"), STR("pop.test"), TLS_MATCH_none},
    {STR("*op.test"), STR("pop.test"), TLS_MATCH_none},
    {STR("a.*.test"), STR("a.b.test"), TLS_MATCH_none},
    {STR("*.*.test"), STR("a.b.test"), TLS_MATCH_none},
    {STR("pop.test\0.evil"), STR("pop.test"), TLS_MATCH_none},
    {STR(""), STR("pop.test"), TLS_MATCH_none},
};

static void test_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(pairs); i++)
		check(pairs[i].pattern,
		    tls_name_match(pairs[i].pattern, pairs[i].name) == pairs[i].match);
}

static const struct {
	struct str name;
	bool is_host;
} names[] = {
    {STR("pop.test"), true},
    {STR("localhost"), true},
    {STR("_a-b.C9"), true},
    {STR(""), false},
    {STR("pop.test."), true},
    {STR("pop.test.."), false},
    {STR("."), false},
    {STR(".."), false},
    {STR("192.0.2.1"), false},
    {STR("192.0.2.1."), false},
    {STR("2001:db8::1"), false},
    {STR("[::1]"), false},
    {STR("*.test"), false},
    {STR("pop test"), false},
    {STR("pop\0test"), false},
    {STR("m\xc3\xbc.test"), false},
    {STR("a/b"), false},
};

static void test_is_host(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(names); i++)
		check(names[i].name, tls_name_is_host(names[i].name) == names[i].is_host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_match),
	    cmocka_unit_test(test_is_host),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
