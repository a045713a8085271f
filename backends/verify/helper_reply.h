// helper_reply.h: what a helper answers (ntlm_auth, protocol ntlm-server-1).
//
//     Authenticated: Yes                  Authenticated: No
//     User-Session-Key: E64E1DED...       Authentication-Error: The specified ...
//     .                                   .
//                                         .
//
// Used by the pool (winbind.h) and by the probe.  Pure.
//
// Two traps are dealt with here.  Behind a refusal with a reason there is a second
// terminator, written later, maybe behind our next question; it is no answer to
// that.  And the answer No to a password has no reason, also where nobody was
// asked: it says nothing (see winbind.c).
#ifndef POPGATE_BACKENDS_VERIFY_HELPER_REPLY_H
#define POPGATE_BACKENDS_VERIFY_HELPER_REPLY_H

#include "proxy/base/text.h"

enum { HELPER_LINE_MAX = 1024, HELPER_KEY = 16, HELPER_SAID = 256 };

enum helper_progress {
	HELPER_MORE,   // the answer goes on
	HELPER_WHOLE,  // it is there
	HELPER_BROKEN, // this is no answer, or none was asked for; the helper is good for nothing
};

// The zero state is that of a helper that has just been started.
struct helper_reply {
	bool is_asked; // an answer is to come
	bool has_verdict;
	bool accepted;
	bool has_key;
	bool may_repeat;         // a second terminator may still come
	uint8_t key[HELPER_KEY]; // the session base key ([MS-NLMP] section 3.3)
	size_t said_len;
	char said[HELPER_SAID]; // why not, in the helper's words, cut at the end; or empty
};

// Wipes the answer of before and is ready for the next.
void helper_reply_begin(struct helper_reply *reply);

// Takes bytes from a helper, asked or not: returns how many were used up.  The rest,
// a line that has not ended or what stands behind an answer, is to be given again.
size_t helper_reply_take(
    struct helper_reply *reply, struct str bytes, enum helper_progress *out_progress);

static inline struct str helper_reply_said(const struct helper_reply *reply)
{
	return (struct str){reply->said, reply->said_len};
}

// Why a domain controller refused the account, as a static text for the log; NULL
// when these words of a helper mean that nobody has judged it.
const char *helper_refusal(struct str said);

#endif
