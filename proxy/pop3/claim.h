// claim.h: what a client claims to be, before anybody has judged it.
//
// Made by the session (USER and PASS, APOP) or by a mechanism (AUTH), judged by a
// verifier or told to the store.  The session owns it; what proves it (password,
// NTLM messages, digest) is wiped as soon as the login is decided.
#ifndef POPGATE_PROXY_POP3_CLAIM_H
#define POPGATE_PROXY_POP3_CLAIM_H

#include "proxy/base/secret.h"
#include "proxy/pop3/digest.h"
#include "proxy/pop3/ntlm/exchange.h"

// Kinds are bits, so that a verifier can say which ones it judges, and a listener
// which ones are welcome.
enum claim_kind {
	CLAIM_plain = 1,     // user and password
	CLAIM_ntlm = 2,      // a finished NTLM exchange, or its last message for a store
	CLAIM_digest = 4,    // APOP or CRAM-MD5
	CLAIM_external = 16, // a certificate, judged by TLS
	CLAIM_msn = 8,       // NTLM by its old name MSN is welcome; the claim is CLAIM_ntlm
};

// Longer names and passwords do not fit a POP3 command (RFC 2449 section 4:
// 255 bytes, keyword and CR LF included).
enum { CLAIM_PART_MAX = 255 - 7 };

struct claim {
	enum claim_kind kind;
	const char *mechanism; // as logs name it
	const char *variant;   // of NTLM: v2, ntlm2, v1; for logs; else NULL
	struct str user;       // heap; of NTLM "DOMAIN\user" or "user", in UTF-8
	struct secret password;
	struct ntlm_exchange *ntlm; // finished, with our challenge; NULL when relayed
	struct secret token;        // relayed: type 3, decoded, for the store that challenged
	struct digest digest;
};

// Fills in the claim (zero or done before).  False when one of the two could
// not be sent to a store as it is: empty, control bytes, too long.
__attribute__((warn_unused_result)) bool claim_plain(
    struct claim *claim, const char *mechanism, struct str user, struct str password);

// Takes a finished exchange over (*exchange is NULL then).  False, and the claim as
// it was, when the name is too long.
__attribute__((warn_unused_result)) bool claim_ntlm(
    struct claim *claim, const char *mechanism, struct ntlm_exchange **exchange);

// The same for an exchange with a store's challenge: names and `token` (type 3) are
// copied, the exchange stays the caller's.
__attribute__((warn_unused_result)) bool claim_relayed(struct claim *claim, const char *mechanism,
    const struct ntlm_exchange *exchange, struct str token);

// False when `text` is not "NAME HEX" (digest.h) or the name could not be sent to a
// store.  The challenge is copied.
__attribute__((warn_unused_result)) bool claim_digest(struct claim *claim, const char *mechanism,
    enum digest_how how, struct str challenge, struct str text);

// The user of a certificate.  False when it could not be sent to a store.
__attribute__((warn_unused_result)) bool claim_external(
    struct claim *claim, const char *mechanism, struct str user);

// Wipes what proves the claim: password, messages, digest; the user's name, mechanism
// and variant stay for the log.
void claim_forget_password(struct claim *claim);
void claim_done(struct claim *claim);

#endif
