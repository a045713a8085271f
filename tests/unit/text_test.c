// text_test.c: a text either fits as a whole, piece by piece, or says that it
// was cut, and is ended by NUL at all times.
#include "tests/kit/check.h"

#include "proxy/base/text.h"

// Fails unless the text is `wanted` and well formed.
static void check_text(const struct text *text, const char *wanted, bool truncated)
{
	check_str(str_of(wanted), text_str(text), str_of(wanted));
	assert_int_equal(text->at[text->len], '\0');
	assert_true(text->truncated == truncated);
	assert_in_range(text->len, 0, text->cap - 1);
}

static void test_empty(void **state)
{
	char room[4] = {'x', 'x', 'x', 'x'};
	struct text text = TEXT(room);
	(void)state;
	check_text(&text, "", false);
	text_add(&text, (struct str){0});
	check_text(&text, "", false);
}

static void test_fits_exactly(void **state)
{
	char room[4];
	struct text text = TEXT(room);
	(void)state;
	text_add(&text, STR("ab"));
	text_add_char(&text, 'c');
	check_text(&text, "abc", false);
	text_add(&text, STR(""));
	check_text(&text, "abc", false);
	text_add_char(&text, 'd');
	check_text(&text, "abc", true);
}

static void test_stays_cut(void **state)
{
	char room[4];
	struct text text = TEXT(room);
	(void)state;
	assert_true(text_is_empty(&text));
	text_add(&text, STR("abcd"));
	check_text(&text, "", true);
	assert_false(text_is_empty(&text)); // there was something
	text = text_in(text.at, text.cap);
	text_add(&text, STR("a"));
	assert_false(text_is_empty(&text));
	text_add(&text, STR("bcd"));
	check_text(&text, "a", true);
	text_add_char(&text, 'b'); // there were room for it
	text_addf(&text, "%d", 1);
	text_add_u64(&text, 1);
	check_text(&text, "a", true);
	text = text_in(text.at, text.cap);
	check_text(&text, "", false);
	text_add(&text, STR("xyz"));
	check_text(&text, "xyz", false);
}

static void test_least_room(void **state)
{
	char room[1];
	struct text text = TEXT(room);
	(void)state;
	check_text(&text, "", false);
	text_add_char(&text, 'a');
	check_text(&text, "", true);
}

static void test_part_of_memory(void **state)
{
	char room[8] = "zzzzzzz";
	struct text text = text_in(room, 4);
	(void)state;
	text_add(&text, STR("abc"));
	text_add_char(&text, 'd');
	text_addf(&text, "more");
	assert_memory_equal(room, "abc\0zzz", 8);
}

static void test_u64(void **state)
{
	static const struct {
		uint64_t number;
		const char *wanted;
	} rows[] = {
	    {0, "0"},
	    {9, "9"},
	    {10, "10"},
	    {995, "995"},
	    {UINT64_MAX, "18446744073709551615"},
	};
	char room[32];
	struct text text = TEXT(room);
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		text = text_in(text.at, text.cap);
		text_add_u64(&text, rows[i].number);
		check_text(&text, rows[i].wanted, false);
	}
}

static void test_format(void **state)
{
	char room[8];
	struct text text = TEXT(room);
	(void)state;
	text_addf(&text, "%s-%d", "ab", 42);
	check_text(&text, "ab-42", false);
	text_addf(&text, "%s", "xy");
	check_text(&text, "ab-42xy", false);
	text_addf(&text, "%s", "");
	check_text(&text, "ab-42xy", false);
	text_addf(&text, "%c", 'z');
	check_text(&text, "ab-42xy", true);
}

static void test_shell_word(void **state)
{
	static const struct {
		const char *word, *wanted;
	} rows[] = {
	    {"/etc/popgate/key.pem", "/etc/popgate/key.pem"},
	    {"aZ09_@%+=:,./-", "aZ09_@%+=:,./-"},
	    {"", "''"},
	    {"my key.pem", "'my key.pem'"},
	    {"it's", "'it'\\''s'"},
	    {"'", "''\\'''"},
	    {"$HOME", "'$HOME'"},
	    {"~root", "'~root'"},
	    {"a;b", "'a;b'"},
	    {"a\nb", "'a\nb'"},
	    {"a\\b", "'a\\b'"},
	    {"schl\xc3\xbcssel", "'schl\xc3\xbcssel'"},
	};
	char room[32];
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct text text = TEXT(room);
		text_add_shell_word(&text, str_of(rows[i].word));
		check_text(&text, rows[i].wanted, false);
	}
}

static void test_shell_word_is_not_cut(void **state)
{
	char room[10];
	struct text text = TEXT(room);
	(void)state;
	text_add(&text, STR("rm "));
	text_add_shell_word(&text, STR("a 'b"));
	check_text(&text, "rm ", true);
	text = TEXT(room);
	text_add(&text, STR("rm "));
	text_add_shell_word(&text, STR("a bc"));
	check_text(&text, "rm 'a bc'", false);
	text_add_shell_word(&text, STR("d"));
	check_text(&text, "rm 'a bc'", true);
}

static void test_holds_nul(void **state)
{
	char room[8];
	struct text text = TEXT(room);
	(void)state;
	text_add(&text, STR("a\0b"));
	text_add_char(&text, '\0');
	assert_int_equal(text.len, 4);
	assert_memory_equal(room, "a\0b\0", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_fits_exactly),
	    cmocka_unit_test(test_stays_cut),
	    cmocka_unit_test(test_least_room),
	    cmocka_unit_test(test_part_of_memory),
	    cmocka_unit_test(test_u64),
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_shell_word),
	    cmocka_unit_test(test_shell_word_is_not_cut),
	    cmocka_unit_test(test_holds_nul),
	};
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
