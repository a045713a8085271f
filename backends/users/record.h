// record.h: what users.db knows of a user, and the bytes it is kept as.
//
// Filled in by a look-up (users.h) for verifiers, the route and the login at the
// store; changed by `popgate user` through its fields (fields.h).  Pure.
//
// The bytes are never stored as they are: seal.h closes them first.  Their length
// is one of few, so that a sealed record does not tell how long a password is.
#ifndef POPGATE_BACKENDS_USERS_RECORD_H
#define POPGATE_BACKENDS_USERS_RECORD_H

#include "proxy/base/secret.h"

enum {
	USER_NT_HASH = 16,   // bytes of an NT hash (MS-NLMP section 3.3.1, NTOWFv1)
	USER_TEXT_MAX = 248, // of a name or password: more does not fit a POP3 command
	USER_BACKEND_MAX = 64,
	USER_RECORD_MAX = 1088, // bytes of a record
};

// The zero state is a user who is off, may use any method, and has nothing.
struct user_record {
	bool enabled;
	bool has_domain;  // found under user@domain, not under the user alone; not stored
	unsigned methods; // bits of enum login_method; 0: all of the listener's
	bool has_nt_hash;
	uint8_t nt_hash[USER_NT_HASH];
	struct secret password;         // kept on request only: APOP, CRAM-MD5
	char *mailbox;                  // name at the backend; NULL: by map
	char *backend;                  // NULL: by map or listener
	struct secret backend_password; // what the backend is told
};

// Writes the record to `out`, USER_RECORD_MAX bytes; returns how many it takes.
// Texts and secrets are at most as long as said above.
size_t user_record_encode(const struct user_record *record, uint8_t out[USER_RECORD_MAX]);

// False, and *out zero, when the bytes are no record.  Else the caller owns *out.
__attribute__((warn_unused_result)) bool user_record_decode(
    struct str bytes, struct user_record *out);

// Whether the user may log in so; `method` is one bit of enum login_method.
static inline bool user_record_allows(const struct user_record *record, unsigned method)
{
	return !record->methods || record->methods & method;
}

// Wipes; the zero state afterwards.
void user_record_done(struct user_record *record);

#endif
