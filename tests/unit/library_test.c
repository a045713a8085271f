// library_test.c: functions that are found can be called; what is not there is told, with
// what to install.
#include "tests/kit/check.h"

#include <stdlib.h>

#include "proxy/base/library.h"

static struct {
	__typeof__(labs) *labs;
	__typeof__(abs) *abs;
} libc;

static void test_found(void **state)
{
	(void)state;
	char room[256];
	struct text why = TEXT(room);
	const struct library_function functions[] = {
	    LIBRARY_FUNCTION(labs, libc.labs),
	    LIBRARY_FUNCTION(abs, libc.abs),
	};
	assert_true(library_load("libc.so.6", "libc6", functions, NUM(functions), &why));
	assert_string_equal(room, "");
	assert_int_equal(libc.labs(-7), 7);
	assert_int_equal(libc.abs(-9), 9);
}

static void test_not_there(void **state)
{
	(void)state;
	static const struct {
		struct str why;
		const char *file, *name;
	} rows[] = {
	    {STR("libnone.so.1: cannot open shared object file: No such file or directory; install "
	         "libnone1"),
	        "libnone.so.1", "labs"},
	    {STR("libc.so.6 has no lobs; install libnone1"), "libc.so.6", "lobs"},
	};
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[256];
		struct text why = TEXT(room);
		const struct library_function function = {rows[i].name, &libc.labs};
		check(rows[i].why, !library_load(rows[i].file, "libnone1", &function, 1, &why));
		check_str(rows[i].why, text_str(&why), rows[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_found),
	    cmocka_unit_test(test_not_there),
	};
	return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
