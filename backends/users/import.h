// import.h: lines of the files that `popgate user import` reads, and those that
// `popgate user export` writes.
//
// Pure: a line in, what it says of a user out.  What to do with that is the
// command's business.  Formats:
//   csv        RFC 4180: the first line names the columns: name, and any of the
//              fields of fields.def; a field ends on its line; an empty one says
//              nothing
//   smbpasswd  of Samba (smbpasswd(5), `pdbedit -Lw`): the NT hash and whether the
//              account is disabled; machines and trusts are passed over, LM hashes
//              not looked at
#ifndef POPGATE_BACKENDS_USERS_IMPORT_H
#define POPGATE_BACKENDS_USERS_IMPORT_H

#include "backends/users/fields.h"

enum import_format { IMPORT_FORMAT_csv, IMPORT_FORMAT_smbpasswd };

// What one line says; slices of the line.
struct import_row {
	struct str name;
	struct str values[USER_FIELDS];
	unsigned given; // bits, 1 << field: what else is not said
};

enum import_result {
	IMPORT_ROW,
	IMPORT_NOTHING, // an empty line, a comment, a machine, the names of columns
	IMPORT_WRONG,
};

enum { IMPORT_COLUMNS = USER_FIELDS + 1 };

// A file being read, one line after the other.
struct import {
	enum import_format format;
	int columns[IMPORT_COLUMNS]; // fields, or IMPORT_NAME
	size_t num_columns;          // 0: the line with their names is still to come
	bool begun;
};

void import_begin(struct import *import, enum import_format format);

// Reads the next line, given without its end; it is changed.  IMPORT_WRONG with the
// reason in *why, which never holds a secret; a file whose first line is wrong is
// wrong in all.
enum import_result import_line(
    struct import *import, char *line, size_t len, struct import_row *out, struct text *why);

// Gives a record the fields of a row.  False with the reason in *why.
__attribute__((warn_unused_result)) bool import_apply(
    const struct import_row *row, struct user_record *record, struct text *why);

// Room for the longest line that is written; lines that are read may be as long.
enum { IMPORT_LINE_MAX = 4096 };

// The lines of a CSV file that is read the same again, secrets but for NT hashes,
// if they are wanted, left out.
void export_header(bool with_hashes, struct text *out);
void export_line(
    struct str name, const struct user_record *record, bool with_hashes, struct text *out);

#endif
