// fields.h: what is said of a user, one field at a time, as text.
//
// Used by `popgate user` for its options, and for the columns of its files.
#ifndef POPGATE_BACKENDS_USERS_FIELDS_H
#define POPGATE_BACKENDS_USERS_FIELDS_H

#include "backends/users/record.h"
#include "proxy/base/text.h"

#define USER_FIELD(name, ...) USER_FIELD_##name,
enum user_field {
#include "backends/users/fields.def"
	USER_FIELDS
};
#undef USER_FIELD

struct user_field_row {
	const char *name;
	bool is_secret;
	const char *how;
};

extern const struct user_field_row user_fields[USER_FIELDS];

// Room for any field that can be printed.
enum { USER_FIELD_ROOM = 512 };

// Sets the field; an empty value sets what holds when nothing is said, but no
// secret is empty.  A password sets the NT hash too, and is itself kept: who does
// not want that wipes it.  False, and nothing changed, with the reason in *why,
// which never holds a secret.
__attribute__((warn_unused_result)) bool user_field_set(
    struct user_record *record, enum user_field field, struct str value, struct text *why);

// So that user_field_set reads the same; of the secrets the NT hash alone, nothing
// of the others.  The caller wipes what `out` is in.
void user_field_print(const struct user_record *record, enum user_field field, struct text *out);

#endif
