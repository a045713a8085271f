// ocsp.h: what a certificate's issuer says of it now: OCSP (RFC 6960, and the profile
// of RFC 5019), as a server needs it that hands the answer to its clients (RFC 6066
// section 8).
//
// Pure: bytes in, verdict out, and the time is an argument.  Called by the supervisor
// (server/staples.h), for files and for what responders send; nothing here trusts a
// byte of a response before its signature was verified, but that it must be read first.
//
// BoringSSL staples a response but knows nothing of what is in it, so the reading is
// ours: DER alone, as the RFC wants it (section 4.2.1).
#ifndef POPGATE_CERTS_OCSP_H
#define POPGATE_CERTS_OCSP_H

#include "proxy/base/text.h"

enum {
	OCSP_REQUEST_MAX = 256,
	OCSP_RESPONSE_MAX = 64 * 1024,
	OCSP_URL_MAX = 1024,
};

// A served certificate and the one that its issuer signed it with, both in DER.
struct ocsp_subject {
	struct str leaf;
	struct str issuer;
};

// False, with the reason in *why, when nobody could say anything of the certificate: one
// of the two is damaged, it is self-signed, or not signed by the other.
__attribute__((warn_unused_result)) bool ocsp_subject_check(
    const struct ocsp_subject *subject, struct text *why);

// Where the certificate says that its responder is (RFC 5280 section 4.2.2.1): the first
// http or https URL.  False when it names none.
__attribute__((warn_unused_result)) bool ocsp_find_url(struct str leaf, struct text *out_url);

// Whether this can be a responder's URL: http or https, and nothing in it that has no
// place in one.
bool ocsp_is_url(struct str url);

// The question (RFC 6960 section 4.1): one certificate, hashed by SHA-1, which every
// responder knows (RFC 5019 section 2.1.1), and no nonce, since many clients will be
// shown the answer.  Returns its length; 0 when there is something wrong with the
// certificates.
size_t ocsp_request(const struct ocsp_subject *subject, uint8_t out[OCSP_REQUEST_MAX]);

enum ocsp_verdict {
	OCSP_GOOD,
	OCSP_REVOKED, // the issuer, or who may speak for it, has said so
	OCSP_REFUSED, // it says nothing of the certificate that can be believed now
};

// In seconds of Unix time.
struct ocsp_times {
	int64_t produced;
	int64_t this_update;
	int64_t next_update; // clients no longer believe it
	int64_t revoked;     // where that is the verdict
};

// Judges a response (RFC 6960 section 3.2) as of `now`.  It must be about this
// certificate, have a nextUpdate that lies ahead, and be signed by the issuer or by a
// certificate, in the response, that the issuer gave the right to (OCSPSigning).  For
// OCSP_REFUSED the reason is in *why, and *out is not to be used.
enum ocsp_verdict ocsp_judge(struct str response, const struct ocsp_subject *subject, int64_t now,
    struct ocsp_times *out, struct text *why);

#endif
