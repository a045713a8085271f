// aliases_test.c: what a file of aliases may look like, that every line is found
// again, and that a message names the file and the line.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/aliases.h"
#include "backends/fold.h"

static const char file[] = "\xef\xbb\xbf# names of before\r\n"
                           "\r\n"
                           "LAB\\Anna       anna.meier   # moved\r\n"
                           "bo@contoso.com\tbo\tstore2\n"
                           "  \"LAB\\carl carlsson\" \"carl carlsson\"  \n"
                           "LAB/anna/sales sales\n"
                           "dora d#ra #\n"
                           "\xc3\x84nne anne";

static const struct {
	struct str name;
	const char *target, *backend;
	size_t line;
} found[] = {
    {STR("LAB\\anna"), "anna.meier", NULL, 3},
    {STR("anna@lab"), "anna.meier", NULL, 3},
    {STR("CONTOSO.COM\\BO"), "bo", "store2", 4},
    {STR("LAB\\Carl Carlsson"), "carl carlsson", NULL, 5},
    {STR("LAB\\anna\\SALES"), "sales", NULL, 6},
    {STR("Dora"), "d#ra", NULL, 7},
    {STR("\xc3\xa4nne"), "anne", NULL, 8},
    {STR("anna"), NULL, NULL, 0},
    {STR("LAB\\dora"), NULL, NULL, 0},
    {STR("bo@contoso.com/sales"), NULL, NULL, 0},
};

static const struct {
	struct str text;
	const char *why;
} refused[] = {
    {STR("anna\n"), "list:1: the name at the backend is missing"},
    {STR("anna # a\n"), "list:1: the name at the backend is missing"},
    {STR("#\nanna a b c\n"), "list:2: \"c\" is one word too many"},
    {STR("LAB\\* a\n"), "list:1: \"LAB\\*\" has a *"},
    {STR("LAB\\ a\n"), "list:1: \"LAB\\\" is no name"},
    {STR("anna {user}\n"), "list:1: \"{user}\" has a brace"},
    {STR("anna \"\"\n"), "list:1: \"\" has no length"},
    {STR("anna a\r\n\r\nLAB\\b b\nANNA c\n"), "list:4: the same name stands in line 1"},
    {STR("anna@lab a\nLAB\\anna b\n"), "list:2: the same name stands in line 1"},
    {STR("anna \"a\tb\"\n"), "list:1: \"a?b\" has a control character"},
    {STR("anna a\0\n"), "list:1: it has a control character"},
    {STR("\xff\xfe"
         "a\0"),
        "list:1: it has a control character"},
};

static size_t find(const struct aliases *aliases, struct str name)
{
	char room[FOLD_SIZE];
	struct text folded = TEXT(room);
	struct account account;
	fold_name(name, &folded);
	check(name, account_parse(text_str(&folded), &account));
	return aliases_find(aliases, &account);
}

static void check_found(const struct aliases *aliases)
{
	for (size_t i = 0; i < NUM(found); i++) {
		size_t index = find(aliases, found[i].name);
		check(found[i].name, (index < aliases_num(aliases)) == (found[i].line > 0));
		if (!found[i].line)
			continue;
		const struct alias *alias = aliases_at(aliases, index);
		check_str(found[i].name, str_of(alias->target), str_of(found[i].target));
		check_str(found[i].name, str_of(alias->backend), str_of(found[i].backend));
		check(found[i].name, alias->line == found[i].line);
	}
}

static void test_found(void **state)
{
	(void)state;
	char room[512];
	struct text why = TEXT(room);
	struct aliases *aliases = aliases_parse(str_of(file), "list", &why);
	check_str(STR("file"), text_str(&why), STR(""));
	assert_int_equal(aliases_num(aliases), 6);
	check_found(aliases);
	aliases_free(&aliases);
	assert_null(aliases);
	aliases_free(&aliases);
}

static void test_empty(void **state)
{
	(void)state;
	char room[512];
	struct text why = TEXT(room);
	struct aliases *aliases = aliases_parse(STR("# nobody\n"), "list", &why);
	assert_non_null(aliases);
	assert_int_equal(find(aliases, STR("anna")), 0);
	aliases_free(&aliases);
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refused); i++) {
		char room[512];
		struct text why = TEXT(room);
		check(refused[i].text, !aliases_parse(refused[i].text, "list", &why));
		check_str(refused[i].text, str_take(text_str(&why), strlen(refused[i].why)),
		    str_of(refused[i].why));
	}
}

static void test_files(void **state)
{
	(void)state;
	char room[512], path[] = "/tmp/aliases_test.XXXXXX";
	struct text why = TEXT(room);
	int fd = mkstemp(path);
	assert_int_equal(write(fd, file, sizeof(file) - 1), sizeof(file) - 1);
	close(fd);
	struct aliases *aliases = aliases_load(path, &why);
	assert_non_null(aliases);
	check_found(aliases);
	aliases_free(&aliases);
	unlink(path);
	assert_null(aliases_load(path, &why));
	check(text_str(&why), str_starts_nocase(text_str(&why), str_of(path)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_found),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
