// import.c: CSV and smbpasswd.  See import.h.
#include "backends/users/import.h"

#include "proxy/config/problems.h"

enum { NAME_COLUMN = -1 };

void import_begin(struct import *import, enum import_format format)
{
	*import = (struct import){.format = format};
}

static enum import_result wrong(struct text *why, const char *what)
{
	text_addf(why, "%s", what);
	return IMPORT_WRONG;
}

static void give(struct import_row *row, enum user_field field, struct str value)
{
	row->values[field] = value;
	row->given |= 1u << field;
}

// ---- CSV ----------------------------------------------------------------

// Takes a cell in quotes off the line; a doubled quote in it is one, put together
// in place.  False when the cell does not end, or is not alone between commas.
static bool take_quoted(char **at, char *end, struct str *out)
{
	char *from = *at + 1, *to = *at;
	bool is_closed = false;
	out->at = to;
	while (from < end && !is_closed) {
		char c = *from++;
		is_closed = c == '"' && (from == end || *from != '"');
		if (c == '"' && !is_closed)
			from++;
		if (!is_closed)
			*to++ = c;
	}
	out->len = (size_t)(to - out->at);
	*at = from;
	return is_closed && (from == end || *from == ',');
}

static struct str take_plain(char **at, char *end)
{
	struct str rest = {*at, (size_t)(end - *at)};
	struct str cell = str_take(rest, str_find(rest, ','));
	*at += cell.len;
	return cell;
}

// Cuts a line into cells; 0 with the reason in *why when that cannot be done.
static size_t read_cells(char *line, size_t len, struct str cells[IMPORT_COLUMNS], struct text *why)
{
	char *at = line, *end = line + len;
	for (size_t num = 0; num < IMPORT_COLUMNS;) {
		if (at < end && *at == '"') {
			if (!take_quoted(&at, end, &cells[num])) {
				text_addf(why,
				    "column %zu: a quote (\") is not closed, or something "
				    "stands behind it; inside quotes write it twice",
				    num + 1);
				return 0;
			}
		} else {
			cells[num] = take_plain(&at, end);
		}
		num++;
		if (at++ == end)
			return num;
	}
	text_addf(why, "there are more than %d columns", IMPORT_COLUMNS);
	return 0;
}

static bool find_column(struct str name, int *out_column, struct text *why)
{
	struct suggestion suggestion = {.wanted = name};
	suggestion_offer(&suggestion, STR("name"));
	*out_column = NAME_COLUMN;
	if (str_eq(name, STR("name")))
		return true;
	for (int field = 0; field < USER_FIELDS; field++) {
		*out_column = field;
		if (str_eq(name, str_of(user_fields[field].name)))
			return true;
		suggestion_offer(&suggestion, str_of(user_fields[field].name));
	}
	// The name is not shown: where columns are not named, it may be a password.
	text_addf(why,
	    "column names are wanted in the first line: name, and any of enabled, methods, "
	    "mailbox, backend, password, nt_hash, backend_password, with commas between%s",
	    suggestion_shown(&suggestion).at);
	return false;
}

static bool has_column(const struct import *import, int column)
{
	for (size_t i = 0; i < import->num_columns; i++)
		if (import->columns[i] == column)
			return true;
	return false;
}

static enum import_result read_header(
    struct import *import, const struct str *cells, size_t num, struct text *why)
{
	for (size_t i = 0; i < num; i++) {
		int column;
		if (!find_column(str_trim(cells[i]), &column, why))
			return IMPORT_WRONG;
		if (has_column(import, column)) {
			text_addf(why, "there are two columns %s", shown(cells[i]).at);
			return IMPORT_WRONG;
		}
		import->columns[import->num_columns++] = column;
	}
	if (!has_column(import, NAME_COLUMN))
		return wrong(why, "there is no column name");
	return IMPORT_NOTHING;
}

static enum import_result read_csv(
    struct import *import, char *line, size_t len, struct import_row *out, struct text *why)
{
	struct str cells[IMPORT_COLUMNS];
	size_t num = read_cells(line, len, cells, why);
	if (!num)
		return IMPORT_WRONG;
	if (!import->num_columns)
		return read_header(import, cells, num, why);
	if (num != import->num_columns) {
		text_addf(
		    why, "it has %zu columns, the first line has %zu", num, import->num_columns);
		return IMPORT_WRONG;
	}
	for (size_t i = 0; i < num; i++)
		if (import->columns[i] == NAME_COLUMN)
			out->name = str_trim(cells[i]);
		else if (cells[i].len)
			give(out, (enum user_field)import->columns[i], cells[i]);
	return IMPORT_ROW;
}

// ---- smbpasswd ----------------------------------------------------------

enum { NT_HASH_DIGITS = 2 * USER_NT_HASH };

// Without brackets it is another column, of files of old.
static bool has_flag(struct str flags, const char *any)
{
	if (!flags.len || flags.at[0] != '[')
		return false;
	for (; *any; any++)
		if (str_find(flags, *any) < flags.len)
			return true;
	return false;
}

// In its place stand as many letters X when there is none, and NO PASSWORD, filled up
// with them, when none is needed.
static bool has_hash(struct str hash)
{
	return hash.len == NT_HASH_DIGITS && hash.at[0] != 'X' &&
	       !str_starts_nocase(hash, STR("NO PASSWORD"));
}

// An account without a password is nobody's to log in to.
static enum import_result read_account(
    struct str hash, struct str flags, struct import_row *out, struct text *why)
{
	bool usable = has_hash(hash) && !has_flag(flags, "DN");
	if (has_flag(flags, "WSI"))
		return IMPORT_NOTHING;
	if (!out->name.len)
		return wrong(why, "the name is empty");
	if (hash.len != NT_HASH_DIGITS)
		return wrong(why, "the NT hash, the fourth column, does not have 32 characters");
	if (has_hash(hash))
		give(out, USER_FIELD_nt_hash, hash);
	give(out, USER_FIELD_enabled, usable ? STR("yes") : STR("no"));
	return IMPORT_ROW;
}

// name:uid:LM hash:NT hash:[flags]:LCT-time:
static enum import_result read_smbpasswd(
    struct import *import, char *line, size_t len, struct import_row *out, struct text *why)
{
	enum { COLUMNS = 5 };
	(void)import;
	struct str rest = {line, len}, columns[COLUMNS];
	bool more = true;
	if (*line == '#')
		return IMPORT_NOTHING;
	for (size_t i = 0; i < COLUMNS; i++) {
		if (!more)
			return wrong(why, "this is no line of smbpasswd, which is "
			                  "name:uid:LM hash:NT hash:[flags]:LCT-time:");
		more = str_cut(rest, ':', &columns[i], &rest);
	}
	out->name = columns[0];
	return read_account(columns[3], columns[4], out, why);
}

// ---- any format ---------------------------------------------------------

static enum import_result (*const readers[])(
    struct import *import, char *line, size_t len, struct import_row *out, struct text *why) = {
    [IMPORT_FORMAT_csv] = read_csv,
    [IMPORT_FORMAT_smbpasswd] = read_smbpasswd,
};

// What some editors put before UTF-8.
static size_t skip_byte_order_mark(const struct import *import, struct str line)
{
	const struct str mark = STR("\xef\xbb\xbf");
	return !import->begun && str_eq(str_take(line, mark.len), mark) ? mark.len : 0;
}

enum import_result import_line(
    struct import *import, char *line, size_t len, struct import_row *out, struct text *why)
{
	*out = (struct import_row){.given = 0};
	size_t skip = skip_byte_order_mark(import, (struct str){line, len});
	import->begun = true;
	if (len > IMPORT_LINE_MAX)
		return wrong(why, "the line is too long");
	if (memchr(line, '\0', len))
		return wrong(why, "there is a NUL in it; save the file as UTF-8");
	if (!str_trim((struct str){line + skip, len - skip}).len)
		return IMPORT_NOTHING;
	return readers[import->format](import, line + skip, len - skip, out, why);
}

bool import_apply(const struct import_row *row, struct user_record *record, struct text *why)
{
	const unsigned both = 1u << USER_FIELD_password | 1u << USER_FIELD_nt_hash;
	if ((row->given & both) == both) {
		text_addf(why, "give either password or nt_hash, not both");
		return false;
	}
	for (int field = 0; field < USER_FIELDS; field++)
		if (row->given & 1u << field &&
		    !user_field_set(record, (enum user_field)field, row->values[field], why))
			return false;
	return true;
}

// ---- export -------------------------------------------------------------

static bool is_exported(int field, bool with_hashes)
{
	return !user_fields[field].is_secret || (with_hashes && field == USER_FIELD_nt_hash);
}

void export_header(bool with_hashes, struct text *out)
{
	text_add(out, STR("name"));
	for (int field = 0; field < USER_FIELDS; field++)
		if (is_exported(field, with_hashes))
			text_addf(out, ",%s", user_fields[field].name);
	text_add_char(out, '\n');
}

static void add_cell(struct text *out, struct str cell)
{
	bool plain = str_find(cell, ',') == cell.len && str_find(cell, '"') == cell.len &&
	             str_trim(cell).len == cell.len;
	if (plain) {
		text_add(out, cell);
		return;
	}
	text_add_char(out, '"');
	for (size_t i = 0; i < cell.len; i++)
		text_add(out, cell.at[i] == '"' ? STR("\"\"") : (struct str){cell.at + i, 1});
	text_add_char(out, '"');
}

void export_line(
    struct str name, const struct user_record *record, bool with_hashes, struct text *out)
{
	char room[USER_FIELD_ROOM];
	add_cell(out, name);
	for (int field = 0; field < USER_FIELDS; field++) {
		struct text value = TEXT(room);
		if (!is_exported(field, with_hashes))
			continue;
		user_field_print(record, (enum user_field)field, &value);
		text_add_char(out, ',');
		add_cell(out, text_str(&value));
	}
	text_add_char(out, '\n');
	explicit_bzero(room, sizeof(room));
}
