// ntlm_unicode_test.c: UTF-8 to UTF-16LE and back, OEM as ASCII, and capitals as
// Windows has them.
#include "tests/kit/check.h"

#include "proxy/pop3/ntlm/unicode.h"

static const struct {
	struct str utf8, utf16;
} rows[] = {
    {STR(""), STR("")}, {STR("User"), STR("U\0s\0e\0r\0")}, {STR("\xc3\xa4"), STR("\xe4\0")},
    {STR("\xe2\x82\xac"), STR("\xac\x20")},                   // U+20AC
    {STR("\xef\xbf\xbd"), STR("\xfd\xff")},                   // U+FFFD
    {STR("\xf0\x9f\x93\xac"), STR("\x3d\xd8\xec\xdc")},       // U+1F4EC
    {STR("\xf4\x8f\xbf\xbf"), STR("\xff\xdb\xff\xdf")},       // U+10FFFF
    {STR("\xed\x9f\xbf\xee\x80\x80"), STR("\xff\xd7\0\xe0")}, // either side of the surrogates
};

static void test_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char rooms[2][64];
		struct text utf16 = TEXT(rooms[0]), utf8 = TEXT(rooms[1]);
		check(rows[i].utf8, ntlm_utf16_from(rows[i].utf8, &utf16));
		check_str(rows[i].utf8, text_str(&utf16), rows[i].utf16);
		check(rows[i].utf8, ntlm_utf8_from(rows[i].utf16, true, &utf8));
		check_str(rows[i].utf8, text_str(&utf8), rows[i].utf8);
	}
}

static void test_no_text(void **state)
{
	static const struct str no_utf8[] = {STR("\xff"), STR("a\xc3"), STR("\xc0\x80"),
	    STR("\xed\xa0\x80"), STR("\xf4\x90\x80\x80"),
	    STR("\xe4"
	        "bc")};
	static const struct str no_utf16[] = {STR("U"), STR("U\0s"), STR("U\0\0\0s\0"), STR("\0\0"),
	    STR("\x3d\xd8"), STR("\x3d\xd8U\0"), STR("\x3d\xd8\x3d\xd8"), STR("\xec\xdc"),
	    STR("\xec\xdc\x3d\xd8"), STR("\x3d\xd8\xec")};
	static const struct str no_oem[] = {STR("\x80"), STR("a\xff"), STR("a\0b"), STR("\0")};
	char room[64];
	(void)state;
	for (size_t i = 0; i < NUM(no_utf8); i++) {
		struct text out = TEXT(room);
		check(no_utf8[i], !ntlm_utf16_from(no_utf8[i], &out));
	}
	for (size_t i = 0; i < NUM(no_utf16); i++) {
		struct text out = TEXT(room);
		check(no_utf16[i], !ntlm_utf8_from(no_utf16[i], true, &out));
	}
	for (size_t i = 0; i < NUM(no_oem); i++) {
		struct text out = TEXT(room);
		check(no_oem[i], !ntlm_utf8_from(no_oem[i], false, &out));
	}
}

static void test_oem(void **state)
{
	char room[64];
	struct text out = TEXT(room);
	(void)state;
	assert_true(ntlm_utf8_from(STR("WORK group-1~"), false, &out));
	assert_string_equal(room, "WORK group-1~");
}

static void test_too_long(void **state)
{
	char room[5];
	(void)state;
	struct text out = TEXT(room);
	assert_true(ntlm_utf16_from(STR("ab"), &out));
	out = TEXT(room);
	assert_false(ntlm_utf16_from(STR("abc"), &out));
	out = TEXT(room);
	assert_false(ntlm_utf8_from(STR("a\0b\0c\0d\0e\0"), true, &out));
	out = TEXT(room);
	assert_false(ntlm_utf8_from(STR("abcde"), false, &out));
}

// Windows' table for names (l_intl.nls) as NTFS has it too: one letter for one, and
// none that would not come back, but the final sigma.
static void test_upper(void **state)
{
	static const struct {
		const char *name, *upper;
	} names[] = {
	    {"User.name-1_", "USER.NAME-1_"},
	    {"jos\xc3\xa9", "JOS\xc3\x89"},
	    {"\xc3\xbf", "\xc5\xb8"},                 // y with diaeresis
	    {"\xc3\x9f", "\xc3\x9f"},                 // sharp s
	    {"\xc2\xb5", "\xc2\xb5"},                 // micro sign
	    {"\xc4\xb1", "\xc4\xb1"},                 // dotless i
	    {"\xc5\xbf", "\xc5\xbf"},                 // long s
	    {"\xc3\xb7\xc3\x97", "\xc3\xb7\xc3\x97"}, // division, multiplication
	    {"\xce\xac\xce\xb3\xcf\x82",
	        "\xce\x86\xce\x93\xce\xa3"}, // alpha tonos, gamma, final sigma
	    {"\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd", "\xd0\x98\xd0\x92\xd0\x90\xd0\x9d"}, // ivan
	    {"\xf0\x90\x90\xa8", "\xf0\x90\x90\xa8"}, // beyond the BMP: as it is
	    {"\xef\xac\x81", "\xef\xac\x81"},         // fi ligature
	    {"\xe6\x9d\x8e", "\xe6\x9d\x8e"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(names); i++) {
		char rooms[3][64];
		struct text utf16 = TEXT(rooms[0]), upper = TEXT(rooms[1]), utf8 = TEXT(rooms[2]);
		assert_true(ntlm_utf16_from(str_of(names[i].name), &utf16));
		ntlm_upper(text_str(&utf16), &upper);
		assert_int_equal(upper.len, utf16.len);
		assert_true(ntlm_utf8_from(text_str(&upper), true, &utf8));
		check_str(str_of(names[i].name), text_str(&utf8), str_of(names[i].upper));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),
	    cmocka_unit_test(test_no_text),
	    cmocka_unit_test(test_oem),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_upper),
	};
	return cmocka_run_group_tests_name("ntlm_unicode", tests, NULL, NULL);
}
