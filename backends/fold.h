// fold.h: names of people and domains, in the form in which they are compared.
//
// Pure.  Used for the map rules, for deny_users and for what a store is told.  By
// libunistring, since names go beyond ASCII; a name that is no UTF-8, as old
// clients send, has only its ASCII letters changed.
#ifndef POPGATE_BACKENDS_FOLD_H
#define POPGATE_BACKENDS_FOLD_H

#include "proxy/base/text.h"
#include "proxy/pop3/claim.h"

// Room for any claimed name in either form: a letter of two bytes can become
// three of two (Unicode's CaseFolding.txt).
enum { FOLD_SIZE = 4 * CLAIM_PART_MAX + 1 };

// For comparing: without case, composed (NFC).
void fold_name(struct str name, struct text *out);

// For showing: in small letters, composed.
void fold_to_lower(struct str name, struct text *out);

// Whether the name is as it is compared but for the case of A to Z: no other name that is
// so, too, is the same.
bool fold_is_plain(struct str name);

// Whether both are the same name; each is at most CLAIM_PART_MAX long.
bool fold_equals(struct str a, struct str b);

#endif
