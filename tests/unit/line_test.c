// line_test.c: RFC 1939 section 3: a line ends with CR LF and with nothing
// else; RFC 2449 section 4: limits count CR LF.  The lenient cut takes LF
// alone too, for old stores.
#include "tests/kit/check.h"

#include "proxy/base/text.h"
#include "proxy/pop3/line.h"

typedef enum line_result cut_fn(struct str in, size_t max, struct str *out_line, size_t *out_used);

enum { MAX = 8 };

static const struct {
	struct str in;
	enum line_result strict;
	enum line_result lenient;
	struct str line; // where found by either
	size_t used;
} rows[] = {
    {STR(""), LINE_MORE, LINE_MORE, STR(""), 0}, {STR("a"), LINE_MORE, LINE_MORE, STR(""), 0},
    {STR("\r"), LINE_MORE, LINE_MORE, STR(""), 0}, // its LF is on the way
    {STR("a\r"), LINE_MORE, LINE_MORE, STR(""), 0},
    {STR("\r\n"), LINE_FOUND, LINE_FOUND, STR(""), 2},
    {STR("a\r\n"), LINE_FOUND, LINE_FOUND, STR("a"), 3},
    {STR("a\r\nb\r\n"), LINE_FOUND, LINE_FOUND, STR("a"), 3},
    {STR("a\r\n\r\n"), LINE_FOUND, LINE_FOUND, STR("a"), 3},
    {STR(" a \t\r\n"), LINE_FOUND, LINE_FOUND, STR(" a \t"), 6},
    {STR("\xff\x80\r\n"), LINE_FOUND, LINE_FOUND, STR("\xff\x80"), 4},
    {STR("a\r\n\0"), LINE_FOUND, LINE_FOUND, STR("a"), 3}, // the next line's NUL
    {STR("a\r\nb\n"), LINE_FOUND, LINE_FOUND, STR("a"), 3},
    {STR("\n"), LINE_BARE_LF, LINE_FOUND, STR(""), 1},
    {STR("a\n"), LINE_BARE_LF, LINE_FOUND, STR("a"), 2},
    {STR("a\nb\r\n"), LINE_BARE_LF, LINE_FOUND, STR("a"), 2},
    {STR("a\rb"), LINE_BARE_CR, LINE_MORE, STR(""), 0},
    {STR("\rb\r\n"), LINE_BARE_CR, LINE_FOUND, STR("\rb"), 4},
    {STR("\r\r\n"), LINE_BARE_CR, LINE_FOUND, STR("\r"), 3},
    {STR("a\r\r"), LINE_BARE_CR, LINE_MORE, STR(""), 0},
    {STR("\0"), LINE_NUL, LINE_MORE, STR(""), 0}, {STR("a\0b"), LINE_NUL, LINE_MORE, STR(""), 0},
    {STR("a\0\r\n"), LINE_NUL, LINE_NUL, STR(""), 0}, {STR("\0\n"), LINE_NUL, LINE_NUL, STR(""), 0},
    {STR("a\r\0\n"), LINE_NUL, LINE_NUL, STR(""), 0},
    // Exactly at MAX, one above, and cut off there.
    {STR("123456\r\n"), LINE_FOUND, LINE_FOUND, STR("123456"), 8},
    {STR("123456\r\nx"), LINE_FOUND, LINE_FOUND, STR("123456"), 8},
    {STR("1234567\n"), LINE_BARE_LF, LINE_FOUND, STR("1234567"), 8},
    {STR("1234567\r\n"), LINE_TOO_LONG, LINE_TOO_LONG, STR(""), 0},
    {STR("12345678\n"), LINE_TOO_LONG, LINE_TOO_LONG, STR(""), 0},
    {STR("1234567"), LINE_MORE, LINE_MORE, STR(""), 0},
    {STR("1234567\r"), LINE_TOO_LONG, LINE_TOO_LONG, STR(""), 0},
    {STR("12345678"), LINE_TOO_LONG, LINE_TOO_LONG, STR(""), 0},
    {STR("123456789"), LINE_TOO_LONG, LINE_TOO_LONG, STR(""), 0},
    {STR("123456\rx"), LINE_BARE_CR, LINE_TOO_LONG, STR(""), 0},
    {STR("1\0"
         "345678"),
        LINE_NUL, LINE_TOO_LONG, STR(""), 0},
    {STR("12345678\0"), LINE_TOO_LONG, LINE_TOO_LONG, STR(""), 0}, // NUL beyond MAX
};

// Cuts, and checks that the outputs are set for LINE_FOUND only.
static void check_cut(cut_fn *cut, size_t row, enum line_result wanted)
{
	static const struct str untouched = {"untouched", 9};
	struct str line = untouched;
	size_t used = 4711;
	check(rows[row].in, cut(rows[row].in, MAX, &line, &used) == wanted);
	check_str(rows[row].in, line, wanted == LINE_FOUND ? rows[row].line : untouched);
	check(rows[row].in, used == (wanted == LINE_FOUND ? rows[row].used : 4711));
}

static void test_strict(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check_cut(line_cut_strict, i, rows[i].strict);
}

static void test_lenient(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check_cut(line_cut_lenient, i, rows[i].lenient);
}

// Cuts `in` at `split`: all lines of the first part, then all of what is left
// with the rest.  The lines, each followed by '|', and the last result.
static enum line_result cut_in_two(cut_fn *cut, struct str in, size_t split, struct text *out)
{
	size_t ends[] = {split, in.len}, at = 0;
	enum line_result result = LINE_MORE;
	for (size_t i = 0; i < NUM(ends) && result == LINE_MORE; i++) {
		struct str line;
		size_t used;
		while ((result = cut(str_drop(str_take(in, ends[i]), at), 16, &line, &used)) ==
		       LINE_FOUND) {
			text_add(out, line);
			text_add_char(out, '|');
			at += used;
		}
	}
	return result;
}

static const struct {
	struct str in;
	struct str lines;
	enum line_result strict_end, lenient_end;
	bool same_lines; // both cuts see the same ones
} streams[] = {
    {STR("USER u\r\nPASS p\r\n"), STR("USER u|PASS p|"), LINE_MORE, LINE_MORE, true},
    {STR("USER u\r\nPASS p"), STR("USER u|"), LINE_MORE, LINE_MORE, true},
    {STR("a\r\n\r\nb\r\n"), STR("a||b|"), LINE_MORE, LINE_MORE, true},
    {STR("a\r\nb\nc\r\n"), STR("a|"), LINE_BARE_LF, LINE_MORE, false},
    {STR("a\r\nb\rc\r\n"), STR("a|"), LINE_BARE_CR, LINE_MORE, false},
    {STR("a\r\nb\0c\r\nd\r\n"), STR("a|"), LINE_NUL, LINE_NUL, true},
    {STR("a\r\n0123456789abcdef\r\n"), STR("a|"), LINE_TOO_LONG, LINE_TOO_LONG, true},
    {STR("a\r\n0123456789abcd\r\n"), STR("a|0123456789abcd|"), LINE_MORE, LINE_MORE, true},
};

// However the network splits a stream, its lines are the same.
static void test_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(streams); i++) {
		struct str in = streams[i].in;
		for (size_t split = 0; split <= in.len; split++) {
			char room[64];
			struct text text = TEXT(room);
			check(in,
			    cut_in_two(line_cut_strict, in, split, &text) == streams[i].strict_end);
			check_str(in, text_str(&text), streams[i].lines);
			text = text_in(text.at, text.cap);
			check(in, cut_in_two(line_cut_lenient, in, split, &text) ==
			              streams[i].lenient_end);
			if (streams[i].same_lines)
				check_str(in, text_str(&text), streams[i].lines);
		}
	}
}

// RFC 2449 section 4 (255 for commands), RFC 5034 section 4 (12288 for AUTH).
static void test_real_limits(void **state)
{
	static const size_t limits[] = {255, 512, 12 * 1024};
	static char room[12 * 1024 + 1];
	struct str line;
	size_t used;
	(void)state;
	for (size_t i = 0; i < NUM(limits); i++) {
		size_t max = limits[i];
		struct str in = check_fill(room, sizeof(room), 'a', max + 1);
		memcpy(room + max - 2, "\r\n", 2);
		assert_int_equal(line_cut_strict(in, max, &line, &used), LINE_FOUND);
		assert_int_equal(used, max);
		assert_int_equal(line.len, max - 2);
		assert_int_equal(line_cut_strict(in, max - 1, &line, &used), LINE_TOO_LONG);
		assert_int_equal(line_cut_lenient(in, max - 1, &line, &used), LINE_TOO_LONG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_strict),
	    cmocka_unit_test(test_lenient),
	    cmocka_unit_test(test_every_split),
	    cmocka_unit_test(test_real_limits),
	};
	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
