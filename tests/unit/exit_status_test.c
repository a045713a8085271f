// exit_status_test.c: each kind of end has its words, a core dump does not change them.
#include "tests/kit/check.h"

#include "proxy/base/exit_status.h"

enum { EXITED = 1 << 8, DUMPED = 1 << 7 };

static const struct {
	struct str words;
	int status; // as Linux makes it
} rows[] = {
    {STR("ended with status 0"), 0},
    {STR("ended with status 1"), EXITED},
    {STR("ended with status 255"), 255 * EXITED},
    {STR("was killed by signal 9 (Killed)"), 9},
    {STR("was killed by signal 11 (Segmentation fault)"), 11},
    {STR("was killed by signal 11 (Segmentation fault)"), 11 | DUMPED},
};

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[64];
		struct text found = TEXT(room);
		exit_status_add(&found, rows[i].status);
		check_str(rows[i].words, text_str(&found), rows[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};
	return cmocka_run_group_tests_name("exit_status", tests, NULL, NULL);
}
