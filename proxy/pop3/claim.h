// claim.h: what a client claims to be, before anybody has judged it.
//
// Made by the session (USER and PASS) or by a mechanism (AUTH), judged by a
// verifier, told to the backend.  The session owns it; the password is wiped
// as soon as the login is decided.
#ifndef POPGATE_PROXY_POP3_CLAIM_H
#define POPGATE_PROXY_POP3_CLAIM_H

#include "proxy/base/secret.h"

// Kinds are bits, so that a verifier can say which ones it judges.
enum claim_kind {
	CLAIM_plain = 1, // user and password
};

// Longer names and passwords do not fit a POP3 command (RFC 2449 section 4:
// 255 bytes, keyword and CR LF included).
enum { CLAIM_PART_MAX = 255 - 7 };

struct claim {
	enum claim_kind kind;
	const char *mechanism; // as logs name it
	struct str user;       // heap
	struct secret password;
};

// Fills in the claim (zero or done before).  False when one of the two could
// not be sent to a store as it is: empty, control bytes, too long.
__attribute__((warn_unused_result)) bool claim_plain(
    struct claim *claim, const char *mechanism, struct str user, struct str password);

// Wipes the password; the user's name stays for the log.
void claim_forget_password(struct claim *claim);
void claim_done(struct claim *claim);

#endif
