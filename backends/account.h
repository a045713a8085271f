// account.h: whose mailbox a login is about: the name as the client wrote it,
// taken apart.
//
// Pure.  Made by the session from a claim, before anybody has judged it; handed to
// verifiers (backends/verify) and to the map rules (backends/route.h), which write
// names in the same forms.  Slices borrow from the name.
//
// The forms are those that Exchange's users know (MS-OXPOP3 section 2.2.2):
//
//     user   user@domain   DOMAIN\user   DOMAIN/user
//     DOMAIN\user\mailbox  DOMAIN/user/mailbox  user@domain/mailbox
//
// In the last row the user logs in, to somebody else's mailbox.
#ifndef POPGATE_BACKENDS_ACCOUNT_H
#define POPGATE_BACKENDS_ACCOUNT_H

#include "proxy/base/str.h"

struct text_list;

struct account {
	struct str domain;  // empty: none was given
	struct str user;    // never empty
	struct str mailbox; // empty: the user's own
};

// False when the name has no user in it, an empty part where a separator
// promises one, a part or an "@" too many, or control characters.
__attribute__((warn_unused_result)) bool account_parse(struct str name, struct account *out);

// Whether the user, of whatever domain, is in the list, whose case does not matter.
bool account_is_among(const struct account *account, const struct text_list *users);

// The same of a name that cannot be taken apart, whatever its store makes of it: whether
// any piece of it, between separators, is in the list.
bool account_has_piece_among(struct str name, const struct text_list *users);

#endif
