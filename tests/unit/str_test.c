// str_test.c: slices are compared, cut, trimmed and read as numbers by their
// bytes alone: NUL is a byte like any other, case means ASCII letters.
#include "tests/kit/check.h"

#include <stdlib.h>

static const struct {
	struct str s;
	uint32_t code;
	bool sound;
	size_t len;
} code_points[] = {
    {STR("ab"), 'a', true, 1},
    {STR("\xc3\xbc!"), 0xfc, true, 2},
    {STR("\xe2\x82\xac"), 0x20ac, true, 3},
    {STR("\xf0\x9f\x98\x80"), 0x1f600, true, 4},
    {STR("\xc3"), 0xc3, false, 1},
    {STR("\xc3!"), 0xc3, false, 1},
    {STR("\xbc"), 0xbc, false, 1},
    {STR("\xc0\x80"), 0xc0, false, 1},         // longer than it need be
    {STR("\xed\xa0\x80"), 0xed, false, 1},     // half of a pair
    {STR("\xf4\x90\x80\x80"), 0xf4, false, 1}, // beyond Unicode
    {STR("\xff"), 0xff, false, 1},
};

static void test_code_points(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(code_points); i++) {
		struct str s = code_points[i].s;
		uint32_t code;
		bool sound = str_take_code_point(&s, &code);
		check(code_points[i].s, sound == code_points[i].sound &&
		                            code == code_points[i].code &&
		                            s.len == code_points[i].s.len - code_points[i].len);
	}
}

static void test_of(void **state)
{
	(void)state;
	assert_int_equal(str_of(NULL).len, 0);
	assert_true(str_is_empty(str_of("")));
	assert_true(str_eq(str_of("abc"), STR("abc")));
	assert_false(str_is_empty(STR("\0")));
}

static const struct {
	struct str a, b;
	bool same, same_nocase;
} pairs[] = {
    {STR(""), STR(""), true, true}, {STR("a"), STR("a"), true, true},
    {STR("a"), STR("A"), false, true}, {STR("QuIt"), STR("qUiT"), false, true},
    {STR("ab"), STR("abc"), false, false}, {STR("abc"), STR("ab"), false, false},
    {STR("a\0b"), STR("a\0b"), true, true}, {STR("a\0b"), STR("a\0c"), false, false},
    {STR("a\0b"), STR("A\0B"), false, true},
    {STR("@"), STR("`"), false, false}, // 0x20 apart, but no letters
    {STR("["), STR("{"), false, false},
    {STR("\xc4"), STR("\xe4"), false, false}, // the same letter in Latin-1 only
};

static void test_eq(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(pairs); i++) {
		check(pairs[i].a, str_eq(pairs[i].a, pairs[i].b) == pairs[i].same);
		check(pairs[i].a, str_eq(pairs[i].b, pairs[i].a) == pairs[i].same);
		check(pairs[i].a, str_eq_nocase(pairs[i].a, pairs[i].b) == pairs[i].same_nocase);
		check(pairs[i].a, str_eq_nocase(pairs[i].b, pairs[i].a) == pairs[i].same_nocase);
	}
	assert_true(str_eq((struct str){0}, STR("")));
	assert_true(str_eq_nocase((struct str){0}, STR("")));
}

static const struct {
	struct str s, part;
	bool starts;
} parts[] = {
    {STR(""), STR(""), true},
    {STR("abc"), STR(""), true},
    {STR("abc"), STR("ABC"), true},
    {STR("abc"), STR("aB"), true},
    {STR("abc"), STR("Bc"), false},
    {STR("abc"), STR("abcd"), false},
    {STR(""), STR("a"), false},
    {STR("aXa"), STR("a"), true},
};

static void test_starts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(parts); i++) {
		check(
		    parts[i].part, str_starts_nocase(parts[i].s, parts[i].part) == parts[i].starts);
	}
}

static void test_has_nocase(void **state)
{
	static const struct {
		struct str s, part;
		bool has;
	} rows[] = {
	    {STR("mailbox is BUSY now"), STR("busy"), true},
	    {STR("busy"), STR("busy"), true},
	    {STR("xbusy"), STR("BUSY"), true},
	    {STR("busyx"), STR("busy"), true},
	    {STR("bubusy"), STR("busy"), true},
	    {STR("bus"), STR("busy"), false},
	    {STR("b usy"), STR("busy"), false},
	    {STR("\0busy"), STR("busy"), true},
	    {STR(""), STR("busy"), false},
	    {STR("a"), STR(""), true},
	    {STR(""), STR(""), true},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i].s, str_has_nocase(rows[i].s, rows[i].part) == rows[i].has);
}

static void test_take_and_drop(void **state)
{
	(void)state;
	for (size_t n = 0; n < 6; n++) {
		struct str s = STR("abcd");
		struct str head = str_take(s, n), tail = str_drop(s, n);
		assert_int_equal(head.len, n < 4 ? n : 4);
		assert_int_equal(head.len + tail.len, 4);
		assert_ptr_equal(head.at, s.at);
		assert_ptr_equal(tail.at, s.at + head.len);
	}
	assert_int_equal(str_take((struct str){0}, 5).len, 0);
	assert_null(str_drop((struct str){0}, 5).at);
	assert_int_equal(str_drop(STR("abc"), SIZE_MAX).len, 0);
}

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(str_find(STR("abcb"), 'b'), 1);
	assert_int_equal(str_find(STR("abc"), 'x'), 3);
	assert_int_equal(str_find(STR("ab\0c"), '\0'), 2);
	assert_int_equal(str_find(STR("ab"), '\0'), 2); // not the literal's own end
	assert_int_equal(str_find((struct str){0}, 'a'), 0);
}

static const struct {
	struct str s, head, tail;
	bool found;
} cuts[] = {
    {STR("a:b"), STR("a"), STR("b"), true},
    {STR("a:b:c"), STR("a"), STR("b:c"), true},
    {STR(":b"), STR(""), STR("b"), true},
    {STR("a:"), STR("a"), STR(""), true},
    {STR(":"), STR(""), STR(""), true},
    {STR("ab"), STR("ab"), STR(""), false},
    {STR(""), STR(""), STR(""), false},
};

static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(cuts); i++) {
		struct str head, tail, s = cuts[i].s;
		check(s, str_cut(s, ':', &head, &tail) == cuts[i].found);
		check_str(s, head, cuts[i].head);
		check_str(s, tail, cuts[i].tail);
		str_cut(s, ':', &s, &tail);
		check_str(cuts[i].s, s, cuts[i].head);
		s = cuts[i].s;
		str_cut(s, ':', &head, &s);
		check_str(cuts[i].s, s, cuts[i].tail);
	}
}

static void test_trim(void **state)
{
	static const struct str rows[][2] = {
	    {STR(""), STR("")},
	    {STR(" \t "), STR("")},
	    {STR("a"), STR("a")},
	    {STR("\t a b \t"), STR("a b")},
	    {STR(" \r\n"), STR("\r\n")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check_str(rows[i][0], str_trim(rows[i][0]), rows[i][1]);
}

static void test_has_control(void **state)
{
	(void)state;
	assert_false(str_has_control(STR("")));
	for (unsigned c = 0; c < 256; c++) {
		char bytes[] = {'a', (char)c, 'b'};
		struct str s = {bytes, sizeof(bytes)};
		check(s, str_has_control(s) == (c < 0x20 || c == 0x7f));
	}
}

static const struct {
	struct str s;
	bool valid;
	uint64_t number;
} numbers[] = {
    {STR("0"), true, 0},
    {STR("007"), true, 7},
    {STR("995"), true, 995},
    {STR("18446744073709551615"), true, UINT64_MAX},
    {STR("18446744073709551616"), false, 0}, // the last digit does not fit
    {STR("18446744073709551620"), false, 0}, // nor the last place
    {STR("99999999999999999999999"), false, 0},
    {STR(""), false, 0},
    {STR("-1"), false, 0},
    {STR("+1"), false, 0},
    {STR(" 1"), false, 0},
    {STR("1 "), false, 0},
    {STR("1\0"), false, 0},
    {STR("0x1"), false, 0},
    {STR("1/"), false, 0},
    {STR("1:"), false, 0},
};

static void test_to_u64(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(numbers); i++) {
		uint64_t number = 42;
		check(numbers[i].s, str_to_u64(numbers[i].s, &number) == numbers[i].valid);
		check(numbers[i].s, number == (numbers[i].valid ? numbers[i].number : 42));
	}
}

static void test_dup(void **state)
{
	char *copy = str_dup(STR("a\0b"));
	(void)state;
	assert_memory_equal(copy, "a\0b", 4);
	free(copy);
	copy = str_dup((struct str){0});
	assert_string_equal(copy, "");
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_code_points),
	    cmocka_unit_test(test_of),
	    cmocka_unit_test(test_eq),
	    cmocka_unit_test(test_starts),
	    cmocka_unit_test(test_has_nocase),
	    cmocka_unit_test(test_take_and_drop),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_trim),
	    cmocka_unit_test(test_has_control),
	    cmocka_unit_test(test_to_u64),
	    cmocka_unit_test(test_dup),
	};
	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
