// user_import_test.c: what lines of CSV and smbpasswd files mean, what is wrong
// with those that mean nothing, and that an export is read the same again.
#include "tests/kit/check.h"

#include "backends/users/import.h"

enum { LINES = 4 };

// Reads a line of a table, which is not to be changed.
static enum import_result read_line(
    struct import *import, struct str line, char *room, struct import_row *row, struct text *why)
{
	if (line.len)
		memcpy(room, line.at, line.len);
	return import_line(import, room, line.len, row, why);
}

static const struct {
	enum import_format format;
	struct str lines[LINES];   // those without a beginning are not there
	enum import_result result; // of the last
	struct str name, values[USER_FIELDS];
	unsigned given;
} rows[] = {
#define CSV IMPORT_FORMAT_csv
#define SMB IMPORT_FORMAT_smbpasswd
#define F(field) (1u << USER_FIELD_##field)
#define HASH "A4F49C406510BDCAB6824EE7C30FD852"
#define LM "E52CAC67419A9A224A3B108F3FA6CB6D"
    {CSV, {STR("name")}, IMPORT_NOTHING, .given = 0},
    {CSV, {STR("name"), STR("anna")}, IMPORT_ROW, STR("anna"), .given = 0},
    {CSV, {STR("\xef\xbb\xbfname"), STR("anna")}, IMPORT_ROW, STR("anna"), .given = 0},
    {CSV, {STR("name"), STR("\xef\xbb\xbf"), STR("anna")}, IMPORT_ROW, STR("anna"), .given = 0},
    {CSV, {STR(""), STR("name"), STR("  "), STR(" anna ")}, IMPORT_ROW, STR("anna"), .given = 0},
    {CSV, {STR("mailbox, name"), STR("box 1,anna")}, IMPORT_ROW, STR("anna"),
        {[USER_FIELD_mailbox] = STR("box 1")}, F(mailbox)},
    {CSV, {STR("name,password,mailbox"), STR("anna, with blanks ,")}, IMPORT_ROW, STR("anna"),
        {[USER_FIELD_password] = STR(" with blanks ")}, F(password)},
    {CSV, {STR("name,enabled,methods,backend"), STR("anna,,\"\",")}, IMPORT_ROW, STR("anna"), {{0}},
        0},
    {CSV, {STR("name,password"), STR("anna,\"a \"\"b\"\", c\"")}, IMPORT_ROW, STR("anna"),
        {[USER_FIELD_password] = STR("a \"b\", c")}, F(password)},
    {CSV, {STR("name,password"), STR("\"anna\",\"\"")}, IMPORT_ROW, STR("anna"), {{0}}, 0},
    {CSV, {STR("name,password"), STR("anna,\"\"\"\"")}, IMPORT_ROW, STR("anna"),
        {[USER_FIELD_password] = STR("\"")}, F(password)},
    {CSV, {STR("name,password"), STR("anna,a\"b")}, IMPORT_ROW, STR("anna"),
        {[USER_FIELD_password] = STR("a\"b")}, F(password)},
    {CSV, {STR("\"name\",\"enabled\""), STR("anna,no")}, IMPORT_ROW, STR("anna"),
        {[USER_FIELD_enabled] = STR("no")}, F(enabled)},
    {SMB, {STR("anna:1000:" LM ":" HASH ":[U          ]:LCT-5F000000:")}, IMPORT_ROW, STR("anna"),
        {STR("yes"), [USER_FIELD_nt_hash] = STR(HASH)}, F(enabled) | F(nt_hash)},
    {SMB, {STR("anna:1000:" LM ":" HASH ":[DU         ]:LCT-5F000000:")}, IMPORT_ROW, STR("anna"),
        {STR("no"), [USER_FIELD_nt_hash] = STR(HASH)}, F(enabled) | F(nt_hash)},
    {SMB, {STR("anna:1000:" LM ":" HASH ":[NU         ]:LCT-5F000000:")}, IMPORT_ROW, STR("anna"),
        {STR("no"), [USER_FIELD_nt_hash] = STR(HASH)}, F(enabled) | F(nt_hash)},
    {SMB, {STR("anna:1000:X:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:[U          ]:LCT-0:")}, IMPORT_ROW,
        STR("anna"), {STR("no")}, F(enabled)},
    {SMB, {STR("anna:1000:X:NO PASSWORDXXXXXXXXXXXXXXXXXXXXX:[NU         ]:LCT-0:")}, IMPORT_ROW,
        STR("anna"), {STR("no")}, F(enabled)},
    {SMB, {STR("anna:1000:" LM ":" HASH ":Dora:/home/d:/bin/sh")}, IMPORT_ROW, STR("anna"),
        {STR("yes"), [USER_FIELD_nt_hash] = STR(HASH)}, F(enabled) | F(nt_hash)},
    {SMB, {STR("pc1$:1001:" LM ":" HASH ":[W          ]:LCT-5F000000:")}, IMPORT_NOTHING,
        .given = 0},
    {SMB, {STR("dom$:1001:" LM ":" HASH ":[I          ]:LCT-5F000000:")}, IMPORT_NOTHING,
        .given = 0},
    {SMB, {STR("# made by hand")}, IMPORT_NOTHING, .given = 0},
    {SMB, {STR("")}, IMPORT_NOTHING, .given = 0},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct import import;
		struct import_row row;
		enum import_result result = IMPORT_WRONG;
		char room[LINES][256], why_room[512];
		struct text why = TEXT(why_room);
		struct str last = STR("");
		import_begin(&import, rows[i].format);
		for (size_t line = 0; line < LINES && rows[i].lines[line].at; line++) {
			last = rows[i].lines[line];
			result = read_line(&import, last, room[line], &row, &why);
			check(last, result != IMPORT_WRONG);
		}
		check(last, result == rows[i].result);
		if (result != IMPORT_ROW)
			continue;
		check_str(last, row.name, rows[i].name);
		check(last, row.given == rows[i].given);
		for (int field = 0; field < USER_FIELDS; field++)
			check_str(last, row.values[field], rows[i].values[field]);
	}
}

#define SECRET "hunter2"

static void test_wrong_lines(void **state)
{
	static const struct {
		enum import_format format;
		struct str first, second, word;
	} wrong[] = {
	    {CSV, STR("nmae"), STR(""), STR("did you mean \"name\"")},
	    {CSV, STR("anna," SECRET), STR(""), STR("column names are wanted")},
	    {CSV, STR("name;password"), STR(""), STR("column names are wanted")},
	    {CSV, STR("name,,"), STR(""), STR("column names are wanted")},
	    {CSV, STR("password"), STR(""), STR("no column name")},
	    {CSV, STR("name,password,name"), STR(""), STR("two columns \"name\"")},
	    {CSV, STR("name"), STR("a,b,c,d,e,f,g,h,i"), STR("more than 8")},
	    {CSV, STR("name,password"), STR("anna"), STR("has 1 columns, the first line has 2")},
	    {CSV, STR("name,password"), STR("anna," SECRET ",x"), STR("has 3 columns")},
	    {CSV, STR("name,password"), STR("anna,\"" SECRET), STR("column 2: a quote")},
	    {CSV, STR("name,password"), STR("anna,\"" SECRET "\"x"), STR("column 2: a quote")},
	    {CSV, STR("name,password"), STR("anna,\"" SECRET "\"\""), STR("column 2: a quote")},
	    {CSV, STR("name,password"), STR("anna,\""), STR("column 2: a quote")},
	    {CSV, STR("n\0a\0"), STR(""), STR("save the file as UTF-8")},
	    {SMB, STR("anna:1000:" SECRET), STR(""), STR("no line of smbpasswd")},
	    {SMB, STR("anna:1000:x:" SECRET ":[U]:"), STR(""), STR("32 characters")},
	    {SMB, STR(":1000:x:" HASH ":[U]:"), STR(""), STR("name is empty")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(wrong); i++) {
		struct import import;
		struct import_row row;
		char room[256], why_room[1024];
		struct text why = TEXT(why_room);
		import_begin(&import, wrong[i].format);
		enum import_result result = read_line(&import, wrong[i].first, room, &row, &why);
		if (wrong[i].second.len) {
			check(wrong[i].second, result == IMPORT_NOTHING);
			result = read_line(&import, wrong[i].second, room, &row, &why);
		}
		check(wrong[i].first, result == IMPORT_WRONG);
		check(text_str(&why), str_has_nocase(text_str(&why), wrong[i].word));
		check(text_str(&why), !str_has_nocase(text_str(&why), STR(SECRET)));
	}
}

static void test_long_line(void **state)
{
	static char line[IMPORT_LINE_MAX + 1];
	struct import import;
	struct import_row row;
	char room[512];
	struct text why = TEXT(room);
	(void)state;
	memset(line, 'a', sizeof(line));
	import_begin(&import, IMPORT_FORMAT_smbpasswd);
	assert_int_equal(import_line(&import, line, sizeof(line), &row, &why), IMPORT_WRONG);
	assert_non_null(strstr(room, "too long"));
}

static void test_password_or_hash(void **state)
{
	struct import_row row = {.given = F(password) | F(nt_hash),
	    .values = {[USER_FIELD_password] = STR("a"), [USER_FIELD_nt_hash] = STR(HASH)}};
	struct user_record record = {.enabled = false};
	char room[512];
	struct text why = TEXT(room);
	(void)state;
	assert_false(import_apply(&row, &record, &why));
	assert_non_null(strstr(room, "not both"));
	row.given = F(nt_hash);
	assert_true(import_apply(&row, &record, &why));
	assert_true(record.has_nt_hash);
	user_record_done(&record);
}

static void test_export(void **state)
{
	static const struct str secret = STR("kept, \"sealed\"");
	struct user_record record = {.enabled = true};
	char room[IMPORT_LINE_MAX], why_room[512];
	struct text header = TEXT(room), why = TEXT(why_room);
	(void)state;
	export_header(false, &header);
	assert_string_equal(room, "name,enabled,methods,mailbox,backend\n");
	assert_true(user_field_set(&record, USER_FIELD_mailbox, STR(" a \"b\", c"), &why));
	assert_true(user_field_set(&record, USER_FIELD_password, secret, &why));
	assert_true(user_field_set(&record, USER_FIELD_backend_password, secret, &why));
	struct text line = TEXT(room);
	export_line(STR("anna, the other"), &record, false, &line);
	assert_string_equal(room, "\"anna, the other\",yes,all,\" a \"\"b\"\", c\",\n");
	line = (struct text)TEXT(room);
	export_line(STR("anna"), &record, true, &line);
	assert_int_equal(line.len, strlen("anna,yes,all,\" a \"\"b\"\", c\",,") + 32 + 1);
	assert_null(strstr(room, "sealed"));
	user_record_done(&record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_wrong_lines),
	    cmocka_unit_test(test_long_line),
	    cmocka_unit_test(test_password_or_hash),
	    cmocka_unit_test(test_export),
	};
	return cmocka_run_group_tests_name("user_import", tests, NULL, NULL);
}
