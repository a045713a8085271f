// prefixes_test.c: what a file of prefixes may look like, and that a message
// about one names the file and the line.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/prefixes.h"

static const struct {
	struct str text;
	uint64_t num_ranges, num_v4;
} accepted[] = {
    {STR(""), 0, 0},
    {STR("\n"), 0, 0},
    {STR("# nobody yet"), 0, 0},
    {STR("\xef\xbb\xbf"), 0, 0},
    {STR("192.0.2.1"), 1, 1},
    {STR("192.0.2.1\n"), 1, 1},
    {STR("192.0.2.1\r\n203.0.113.0/24\r\n"), 2, 257},
    {STR("\xef\xbb\xbf"
         "192.0.2.1\r\n"),
        1, 1},
    {STR("  192.0.2.1\t# one\n\n\t\n#\n 192.0.2.3#three\n"), 2, 2},
    {STR("192.0.2.0/255.255.255.0\n10.0.0.1-10.0.0.9\n2001:db8::/32\n"), 3, 265},
    {STR("192.0.2.1\n192.0.2.1\n192.0.2.0/24\n192.0.2.0/25"), 1, 256},
    {STR("192.0.2.0/25\n192.0.2.128/25\n"), 1, 256},
};

static const struct {
	struct str text;
	const char *why;
} refused[] = {
    {STR("192.0.2.1\nexample.org\n"), "list:2: \"example.org\" is no address"},
    {STR("#\n\n192.0.2.7/24"), "list:3: 192.0.2.7/24 has bits beyond its mask"},
    {STR("192.0.2.1 192.0.2.2\n"), "list:1: \"192.0.2.1 192.0.2.2\" is no address"},
    {STR("192.0.2.1\0\n"), "list:1: the line holds a NUL"},
    {STR("# \0\n"), "list:1: the line holds a NUL"},
    {STR("\xff\xfe"
         "1\0"),
        "list:1: the line holds a NUL"},
    {STR("192.0.2.1\n\n\nx"), "list:4: "},
    {STR("192.0.2.1\r192.0.2.2\n"), "list:1: "},
};

// NULL when it is refused.
static struct table *parse(struct str text, struct text *why)
{
	struct table_builder *builder = table_builder_new(0, why);
	assert_non_null(builder);
	struct table *table = NULL;
	if (prefixes_parse_text(text, "list", builder, why))
		table = table_build(builder, why);
	table_builder_free(&builder);
	return table;
}

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(accepted); i++) {
		char room[512];
		struct text why = TEXT(room);
		struct table *table = parse(accepted[i].text, &why);
		check_str(accepted[i].text, text_str(&why), STR(""));
		check(accepted[i].text, table_size(table).num_ranges == accepted[i].num_ranges);
		check(accepted[i].text, table_size(table).num_v4 == accepted[i].num_v4);
		table_free(&table);
	}
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refused); i++) {
		char room[512];
		struct text why = TEXT(room);
		struct str wanted = str_of(refused[i].why);
		check(refused[i].text, !parse(refused[i].text, &why));
		check_str(refused[i].text, str_take(text_str(&why), wanted.len), wanted);
	}
}

static void test_length_of_a_line(void **state)
{
	char line[PREFIXES_LINE_MAX + 3], room[512];
	struct text why = TEXT(room);
	(void)state;
	memset(line, '#', sizeof(line));
	line[PREFIXES_LINE_MAX] = '\n';
	struct table *table = parse((struct str){line, PREFIXES_LINE_MAX + 1}, &why);
	assert_non_null(table);
	table_free(&table);
	line[PREFIXES_LINE_MAX] = '#';
	line[PREFIXES_LINE_MAX + 1] = '\n';
	assert_null(parse((struct str){line, PREFIXES_LINE_MAX + 2}, &why));
	assert_string_equal(room, "list:1: the line is longer than 512 bytes");
}

// ---- files --------------------------------------------------------------

static char folder[] = "/tmp/prefixes_test.XXXXXX";
static char path[sizeof(folder) + 8];

static int make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	struct text text = TEXT(path);
	text_addf(&text, "%s/list", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void write_file(struct str bytes)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes.at, 1, bytes.len, file), bytes.len);
	assert_int_equal(fclose(file), 0);
}

static void test_file(void **state)
{
	char room[512];
	struct text why = TEXT(room);
	struct stat status;
	(void)state;
	write_file(STR("192.0.2.0/24\n"));
	struct table *table = prefixes_load(path, 3, &why);
	assert_non_null(table);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(table_built(table), status.st_mtime);
	assert_int_equal(table_slot(table), 3);
	assert_int_equal(table_size(table).num_v4, 256);
	table_free(&table);
}

static void expect_why(const char *wanted)
{
	char room[512], wanted_room[512];
	struct text why = TEXT(room), whole = TEXT(wanted_room);
	text_addf(&whole, "%s:%s", path, wanted);
	assert_null(prefixes_load(path, 0, &why));
	check_str(str_of(wanted), str_take(text_str(&why), whole.len), text_str(&whole));
}

static void test_bad_file(void **state)
{
	(void)state;
	write_file(STR("192.0.2.0/24\nx\n"));
	expect_why("2: \"x\" is no address");
	assert_int_equal(unlink(path), 0);
	expect_why(" cannot open it: No such file");
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_why(" cannot open it: it is no ordinary file");
	assert_int_equal(unlink(path), 0);
}

// Sparse, so that it costs nothing but the time to read it.
static void test_file_too_large(void **state)
{
	(void)state;
	write_file(STR("192.0.2.0/24\n"));
	assert_int_equal(truncate(path, (off_t)PREFIXES_FILE_MAX + 1), 0);
	expect_why(" it is larger than 256 MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_length_of_a_line),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_bad_file),
	    cmocka_unit_test(test_file_too_large),
	};
	return cmocka_run_group_tests_name("prefixes", tests, make_folder, remove_folder);
}
