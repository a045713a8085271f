// fold_test.c: which names are compared as they stand, but for the case of A to Z.
#include "tests/kit/check.h"

#include "backends/fold.h"

static const struct {
	struct str name;
	bool is_plain;
} names[] = {
    {STR(""), true}, {STR("anna"), true}, {STR("Anna@Example.ORG"), true},
    {STR("j\xc3\xb6rg"), true}, {STR("J\xc3\xb6rg"), true},
    {STR("\xe3\x81\x82"), true},     // a letter without case
    {STR("\xef\xbd\x81nna"), true},  // a wide a, which stays one
    {STR("J\xc3\x96RG"), false},     // a capital beyond A to Z
    {STR("jo\xcc\x88rg"), false},    // not composed
    {STR("mar\xe2\x84\xaa"), false}, // ends with the Kelvin sign
    {STR("\xe2\x84\xabsa"), false},  // begins with the sign of Angstrom
    {STR("stra\xc3\x9f"
         "e"),
        false},                        // a sharp s
    {STR("\xc5\xbftrasse"), false},    // a long s
    {STR("\xef\xac\x86rasse"), false}, // a ligature
    {STR("nikola\xcf\x82"), false},    // a final sigma
    {STR("\xff"), true},               // no UTF-8: letters of A to Z alone are changed
};

static void test_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(names); i++)
		check(names[i].name, fold_is_plain(names[i].name) == names[i].is_plain);
}

// Of two that are plain, one is the other only if A to Z alone tell them apart.
static void test_plain_names_are_nobody_elses(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(names); i++)
		for (size_t j = 0; j < NUM(names); j++)
			if (names[i].is_plain && names[j].is_plain)
				check(
				    names[i].name, fold_equals(names[i].name, names[j].name) ==
				                       str_eq_nocase(names[i].name, names[j].name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_plain_names_are_nobody_elses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
