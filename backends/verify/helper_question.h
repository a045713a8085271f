// helper_question.h: what a helper is asked: whether somebody is who he says.
//
// A helper is Samba's `ntlm_auth --helper-protocol=ntlm-server-1`: questions and
// answers in lines, one after the other, with no memory between them.  Used by the
// pool (winbind.h) and by the probe (proxy/server/helper_probe.h).
#ifndef POPGATE_BACKENDS_VERIFY_HELPER_QUESTION_H
#define POPGATE_BACKENDS_VERIFY_HELPER_QUESTION_H

#include "proxy/base/buf.h"
#include "proxy/pop3/ntlm/exchange.h"

enum { HELPER_QUESTION_MAX = 64 * 1024 };

// Borrows everything.
struct helper_question {
	bool by_password;
	struct str password;
	struct ntlm_question about; // who, in UTF-8; challenge and responses unless by password
};

// A question about nobody, in a domain that may be empty (winbind's own): who gets told that there
// is no such account knows that winbind, the domain controller and our right to ask
// are all in order.
struct helper_question helper_question_about_nobody(struct str domain);

// Appends the question to *out.  False when it cannot be asked: without a user, with
// control bytes in a name or the password (the helper would read a NUL as the end,
// and take a longer password for a shorter one), or too long.
__attribute__((warn_unused_result)) bool helper_question_write(
    const struct helper_question *question, struct buf *out);

#endif
