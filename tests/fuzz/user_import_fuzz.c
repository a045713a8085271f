// user_import_fuzz.c: any bytes as a file of users: CSV or, when they begin with
// "#", smbpasswd.
//
// Whatever they are: each line is a row or has a reason without control characters;
// what a row makes of a user survives being encoded, and is exported so that the
// same is read again.
#include "backends/users/import.h"
#include "backends/users/name.h"
#include "proxy/base/die.h"
#include "tests/fuzz/fuzz.h"

static void check_same(const struct user_record *a, const struct user_record *b)
{
	MUST(a->enabled == b->enabled && a->methods == b->methods);
	MUST(a->has_nt_hash == b->has_nt_hash);
	MUST(memcmp(a->nt_hash, b->nt_hash, sizeof(a->nt_hash)) == 0);
	MUST(str_eq(str_of(a->mailbox), str_of(b->mailbox)));
	MUST(str_eq(str_of(a->backend), str_of(b->backend)));
}

static void check_encoding(const struct user_record *record)
{
	uint8_t bytes[USER_RECORD_MAX];
	struct user_record again;
	size_t len = user_record_encode(record, bytes);
	MUST(user_record_decode((struct str){(char *)bytes, len}, &again));
	check_same(record, &again);
	MUST(secret_equals(&record->password, secret_reveal(&again.password)));
	MUST(secret_equals(&record->backend_password, secret_reveal(&again.backend_password)));
	user_record_done(&again);
}

static void check_export(struct str name, const struct user_record *record)
{
	char room[2][IMPORT_LINE_MAX], why_room[1024];
	struct text header = TEXT(room[0]), line = TEXT(room[1]), why = TEXT(why_room);
	struct import import;
	struct import_row row;
	struct user_record again = {.enabled = false};
	export_header(true, &header);
	export_line(name, record, true, &line);
	MUST(!line.truncated && line.at[line.len - 1] == '\n');
	import_begin(&import, IMPORT_FORMAT_csv);
	MUST(import_line(&import, header.at, header.len - 1, &row, &why) == IMPORT_NOTHING);
	MUST(import_line(&import, line.at, line.len - 1, &row, &why) == IMPORT_ROW);
	MUST(str_eq(row.name, str_trim(name)) && import_apply(&row, &again, &why));
	check_same(record, &again);
	user_record_done(&again);
}

static void check_row(const struct import_row *row)
{
	char name_room[USER_NAME_ROOM], why_room[1024];
	struct text name = TEXT(name_room), why = TEXT(why_room);
	struct user_record record = {.enabled = true};
	if (user_name_fold(STR(""), row->name, &name)) {
		if (import_apply(row, &record, &why)) {
			check_encoding(&record);
			check_export(text_str(&name), &record);
		} else {
			MUST(why.len && !why.truncated && !str_has_control(text_str(&why)));
		}
	}
	user_record_done(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size}, line;
	struct import import;
	import_begin(&import, size && *data == '#' ? IMPORT_FORMAT_smbpasswd : IMPORT_FORMAT_csv);
	while (text.len) {
		char room[1024];
		struct text why = TEXT(room);
		struct import_row row;
		str_cut(text, '\n', &line, &text);
		char *copy = str_dup(line);
		enum import_result result = import_line(&import, copy, line.len, &row, &why);
		MUST((result == IMPORT_WRONG) == (why.len > 0));
		MUST(!why.truncated && !str_has_control(text_str(&why)));
		if (result == IMPORT_ROW)
			check_row(&row);
		free(copy);
	}
	return 0;
}
