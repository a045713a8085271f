// name.h: the name that a user stands under in users.db.
//
// Used by look-ups and by every change.  Names that differ in case only, or in how
// their accents are composed, are one name: they are folded (Unicode, chapter 3.13)
// and brought to NFC by libunistring.
#ifndef POPGATE_BACKENDS_USERS_NAME_H
#define POPGATE_BACKENDS_USERS_NAME_H

#include "proxy/base/text.h"

// Bytes of a folded name, as long as LMDB takes a key; and room for one as a text.
enum { USER_NAME_MAX = 511, USER_NAME_ROOM = USER_NAME_MAX + 1 };

// Adds to `out`, which is empty and has USER_NAME_ROOM bytes, the folded
// "user@domain", or "user" where the domain is empty.  False when the user is
// empty, something is no UTF-8 or a control character, or the name is too long.
__attribute__((warn_unused_result)) bool user_name_fold(
    struct str domain, struct str user, struct text *out);

#endif
