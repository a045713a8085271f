// reply.h: replies to clients, and what a store's reply means.
//
// Pure.  Lines for clients end with CR LF and are at most 512 bytes long
// (RFC 2449 section 4).
#ifndef POPGATE_PROXY_POP3_REPLY_H
#define POPGATE_PROXY_POP3_REPLY_H

#include "proxy/base/text.h"

enum { REPLY_MAX = 512 };

// Room for a continuation with a challenge of `len` bytes, and NUL.
#define REPLY_CONTINUATION_SIZE(len) (((len) + 2) / 3 * 4 + sizeof("+ \r\n"))

#define REPLY(token, text) REPLY_##token,
enum reply {
#include "proxy/pop3/replies.def"
	REPLIES
};
#undef REPLY

// The whole line, CR LF included.
struct str reply_line(enum reply reply);

// "+OK TEXT" for a greeting of the administrator's.
void reply_greeting(struct text *out, struct str greeting);

// "-ERR TEXT" for a refusal of the administrator's.
void reply_refusal(struct text *out, struct str refusal);

// Refuses a login that would send a password in the clear, and says what to do
// instead.
void reply_refused_in_clear(struct text *out, struct str hint);

// A continuation (RFC 5034 section 4): "+ " and the challenge in base64, which
// may be empty.  `out` has room for REPLY_CONTINUATION_SIZE of the challenge's length.
void reply_continuation(struct text *out, struct str challenge);

enum reply_status {
	REPLY_STATUS_ok,
	REPLY_STATUS_err,
	REPLY_STATUS_continuation,
	REPLY_STATUS_other
};

// What a store's line says (RFC 1939 section 3; any text or none may follow).
enum reply_status reply_status_of(struct str line);

// Whether a store's refusal of a login may be for user or password, and so counts
// as a failed login: unless a code says that it is about the mailbox ([IN-USE],
// [LOGIN-DELAY] of RFC 2449) or the store ([SYS/...] of RFC 3206).  Words do not
// matter: "please try again" stands in refusals of wrong passwords too, and where
// a store repeats the user's name, they are the client's.
bool reply_doubts_login(struct str line);

// A store's line passed on to a client: without control bytes, cut to
// REPLY_MAX.  We announce AUTH-RESP-CODE (RFC 3206) for stores that do not, and
// so a refusal of the login that names no code gets [AUTH], unless its words look
// as if the mailbox were busy: then a client should not ask its user for another
// password.  That is a guess, and nothing but this hint hangs on it.  `out` has
// room for REPLY_MAX bytes and NUL.
void reply_pass_on(struct text *out, struct str line, bool login_refused);

#endif
