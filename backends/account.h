// account.h: whose mailbox a login is about: the name as the client wrote it,
// taken apart.
//
// Made by the session from a claim, before anybody has judged it; handed to
// verifiers (backends/verify) and to the route (backends/route.h).  Slices
// borrow from the claim.
//
// The forms are those that Exchange's users know (MS-OXPOP3 section 2.2.2):
// user, user@domain, DOMAIN\user, DOMAIN/user, DOMAIN/user/mailbox and
// DOMAIN\user\mailbox.
#ifndef POPGATE_BACKENDS_ACCOUNT_H
#define POPGATE_BACKENDS_ACCOUNT_H

#include "proxy/base/str.h"

struct account {
	struct str domain;  // empty: none was given
	struct str user;    // never empty
	struct str mailbox; // empty: the user's own
};

// False when the name has no user in it, an empty part where a separator
// promises one, or control characters.
__attribute__((warn_unused_result)) bool account_parse(struct str name, struct account *out);

#endif
