// tables_test.c: which change of a file is taken, when, and that everything else
// leaves the table as it was and is told once.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/tables.h"

static char folder[] = "/tmp/tables_test.XXXXXX";
static char path[sizeof(folder) + 8], other_path[sizeof(folder) + 8];

struct heard {
	unsigned num;
	enum tables_news news;
	size_t index;
	char why[1024];
};

static struct heard heard;
static struct tables *tables;

static void on_news(void *context, enum tables_news news, size_t index, struct str why)
{
	assert_ptr_equal(context, &heard);
	heard.num++;
	heard.news = news;
	heard.index = index;
	struct text text = TEXT(heard.why);
	text_add(&text, why);
}

static void write_file(const char *to, const char *content)
{
	FILE *file = fopen(to, "w");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

// As careful programs do: a new file takes the place of the old.
static void put_file(const char *content)
{
	write_file(other_path, content);
	assert_int_equal(rename(other_path, path), 0);
}

static void look(void)
{
	heard = (struct heard){0};
	tables_refresh(tables, on_news, &heard);
}

static uint32_t find(const char *addr_text)
{
	struct addr addr;
	assert_true(addr_parse(str_of(addr_text), 1, &addr));
	return table_find(tables_get(tables, 0), &addr);
}

static int set_up(void **state)
{
	(void)state;
	heard = (struct heard){0};
	write_file(path, "192.0.2.1\n");
	tables = tables_new();
	assert_int_equal(tables_add(tables, TABLE_PREFIXES, path), 0);
	assert_true(tables_load(tables, on_news, &heard));
	assert_int_equal(heard.num, 0);
	look();
	assert_int_equal(heard.num, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tables_free(&tables);
	assert_null(tables);
	unlink(path);
	unlink(other_path);
	return 0;
}

static int make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	struct text first = TEXT(path), second = TEXT(other_path);
	text_addf(&first, "%s/list", folder);
	text_addf(&second, "%s/other", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void test_add(void **state)
{
	struct tables *some = tables_new();
	(void)state;
	assert_int_equal(tables_num(some), 0);
	assert_int_equal(tables_add(some, TABLE_PREFIXES, "a"), 0);
	assert_int_equal(tables_add(some, TABLE_PREFIXES, "b"), 1);
	assert_int_equal(tables_add(some, TABLE_COUNTRY, "a"), 2);
	assert_int_equal(tables_add(some, TABLE_PREFIXES, "a"), 0);
	assert_int_equal(tables_num(some), 3);
	assert_null(tables_get(some, 2));
	assert_string_equal(tables_describe(some, 1).path, "b");
	tables_free(&some);
	tables_free(&some);
}

static void test_load_tells_every_problem(void **state)
{
	struct tables *some = tables_new();
	(void)state;
	write_file(path, "192.0.2.1\nx\n");
	tables_add(some, TABLE_PREFIXES, path);
	tables_add(some, TABLE_COUNTRY, path);
	tables_add(some, TABLE_ASN, other_path);
	assert_false(tables_load(some, on_news, &heard));
	assert_int_equal(heard.num, 3);
	assert_int_equal(heard.news, TABLES_REFUSED);
	assert_int_equal(heard.index, 2);
	assert_non_null(strstr(heard.why, other_path));
	assert_non_null(strstr(heard.why, "No such file"));
	tables_free(&some);
}

static void test_describe(void **state)
{
	struct table_facts facts = tables_describe(tables, 0);
	struct stat status;
	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(facts.kind, TABLE_PREFIXES);
	assert_string_equal(facts.path, path);
	assert_int_equal(facts.built, status.st_mtime);
	assert_int_equal(facts.size.num_v4, 1);
}

static void test_new_file(void **state)
{
	(void)state;
	put_file("192.0.2.2\n");
	look();
	assert_int_equal(heard.num, 0); // once is no proof that it is complete
	assert_int_equal(find("192.0.2.1"), 1);
	look();
	assert_int_equal(heard.num, 1);
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(heard.index, 0);
	assert_string_equal(heard.why, "");
	assert_int_equal(find("192.0.2.1"), 0);
	assert_int_equal(find("192.0.2.2"), 1);
	look();
	assert_int_equal(heard.num, 0);
}

static void append(const char *content)
{
	FILE *file = fopen(path, "a");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_file_being_written(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		append("192.0.2.7\n");
		look();
		assert_int_equal(heard.num, 0);
		assert_int_equal(find("192.0.2.7"), 0);
	}
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(find("192.0.2.7"), 1);
}

// Changes the file before each of so many looks; how many of them had news.
static unsigned look_while(void (*change)(void), int looks)
{
	unsigned num_news = 0;
	struct heard last = {0};
	while (looks-- > 0) {
		change();
		look();
		num_news += heard.num;
		last = heard.num ? heard : last;
	}
	heard = last;
	return num_news;
}

static void append_line(void)
{
	append("192.0.2.7\n");
}

static void test_file_that_never_rests(void **state)
{
	(void)state;
	assert_int_equal(look_while(append_line, 5), 1);
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_string_equal(heard.why, "");
	assert_int_equal(find("192.0.2.7"), 1);
	assert_int_equal(find("192.0.2.8"), 0);
	append("192.0.2.8\n");
	look();
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(find("192.0.2.8"), 1);
	look();
	assert_int_equal(look_while(append_line, 20), 4);
}

static void put_other(void)
{
	static bool is_odd;
	is_odd = !is_odd;
	put_file(is_odd ? "1::1\n" : "192.0.2.9\n"); // smaller than before, or larger
}

static void test_file_replaced_before_every_look(void **state)
{
	(void)state;
	write_file(path, "# a long beginning\n");
	look();
	look();
	assert_int_equal(look_while(put_other, 5), 1);
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(tables_describe(tables, 0).size.num_ranges, 1);
}

static void append_half_a_line(void)
{
	append("#");
}

// A line without its end may be half an address.
static void test_line_that_never_ends(void **state)
{
	(void)state;
	assert_int_equal(look_while(append_half_a_line, 59), 0);
	assert_int_equal(look_while(append_half_a_line, 70), 1);
	assert_int_equal(heard.news, TABLES_REFUSED);
	assert_non_null(strstr(heard.why, "list: its last line has no end"));
	append("\n192.0.2.7\n");
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(find("192.0.2.7"), 1);
}

static void append_bad_line(void)
{
	append("192.0.2.\n");
}

static void test_bad_file_that_never_rests(void **state)
{
	(void)state;
	assert_int_equal(look_while(append_bad_line, 200), 1);
	assert_int_equal(heard.news, TABLES_REFUSED);
	assert_non_null(strstr(heard.why, "list:2: "));
	assert_int_equal(find("192.0.2.1"), 1);
}

// Written anew in its old place, and slowly: its first half is no list.
static void test_file_that_grows_again(void **state)
{
	(void)state;
	write_file(path, "192.0.2.1\n192.0.2.3\n192.0.2.5\n192.0.2.7\n192.0.2.9\n192.0.2.11\n"
	                 "192.0.2.13\n192.0.2.15\n192.0.2.17\n");
	look();
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	write_file(path, "");
	look();
	assert_int_equal(look_while(append_line, 6), 0);
	assert_int_equal(find("192.0.2.17"), 1);
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(find("192.0.2.17"), 0);
}

static void write_less(void)
{
	static bool is_odd;
	is_odd = !is_odd;
	write_file(path, is_odd ? "1::\n" : "1::1\n");
}

static void test_smaller_file_that_never_rests(void **state)
{
	(void)state;
	assert_int_equal(look_while(write_less, 200), 1);
	assert_int_equal(heard.news, TABLES_REFUSED);
	assert_non_null(strstr(heard.why, "rename it to take its place"));
}

static void test_bad_file(void **state)
{
	(void)state;
	put_file("192.0.2.2\nx\n");
	look();
	look();
	assert_int_equal(heard.num, 1);
	assert_int_equal(heard.news, TABLES_REFUSED);
	assert_non_null(strstr(heard.why, "list:2: "));
	assert_int_equal(find("192.0.2.1"), 1);
	look();
	assert_int_equal(heard.num, 0);
	put_file("192.0.2.3\n");
	look();
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(find("192.0.2.3"), 1);
}

static void test_missing_file(void **state)
{
	(void)state;
	assert_int_equal(unlink(path), 0);
	look();
	assert_int_equal(heard.num, 0);
	look();
	assert_int_equal(heard.num, 1);
	assert_int_equal(heard.news, TABLES_REFUSED);
	assert_int_equal(find("192.0.2.1"), 1);
	look();
	assert_int_equal(heard.num, 0);
	put_file("192.0.2.4\n");
	look();
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(find("192.0.2.4"), 1);
}

// Gone for one look only, as when somebody removes it and writes a new one.
static void test_missing_for_a_moment(void **state)
{
	(void)state;
	assert_int_equal(unlink(path), 0);
	look();
	put_file("192.0.2.55\n"); // of another size: so soon, times may be the same
	look();
	assert_int_equal(heard.num, 0);
	look();
	assert_int_equal(heard.num, 1);
	assert_int_equal(heard.news, TABLES_REPLACED);
}

static void test_link(void **state)
{
	(void)state;
	write_file(other_path, "192.0.2.6\n");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(other_path, path), 0);
	look();
	look();
	assert_int_equal(heard.news, TABLES_REPLACED);
	assert_int_equal(find("192.0.2.6"), 1);
}

// What a worker does with what the supervisor sends.
static void test_take(void **state)
{
	struct tables *worker = tables_new();
	char room[256];
	struct text why = TEXT(room);
	struct addr addr;
	(void)state;
	tables_add(worker, TABLE_PREFIXES, path);
	assert_true(addr_parse(STR("192.0.2.1:1"), 0, &addr));
	assert_true(tables_take(worker, dup(table_fd(tables_get(tables, 0))), &why));
	assert_int_equal(table_find(tables_get(worker, 0), &addr), 1);
	assert_true(tables_take(worker, dup(table_fd(tables_get(tables, 0))), &why));
	assert_false(tables_take(worker, -1, &why));
	assert_int_equal(table_find(tables_get(worker, 0), &addr), 1);
	tables_free(&worker);
	why = TEXT(room);
	worker = tables_new();
	assert_false(tables_take(worker, dup(table_fd(tables_get(tables, 0))), &why));
	assert_string_equal(room, "the table is for slot 0, and there are 0");
	tables_free(&worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_add, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_load_tells_every_problem, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_describe, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_new_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_file_being_written, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_file_that_never_rests, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        test_file_replaced_before_every_look, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_line_that_never_ends, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_bad_file_that_never_rests, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_file_that_grows_again, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_smaller_file_that_never_rests, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_bad_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_missing_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_missing_for_a_moment, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_link, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_take, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("tables", tests, make_folder, remove_folder);
}
