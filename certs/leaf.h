// leaf.h: what is read in a certificate of ours.
//
// Pure.  Who calls it: what makes certificates to serve (load.h), and what tells of them
// in the log and by `popgate cert check`.
#ifndef POPGATE_CERTS_LEAF_H
#define POPGATE_CERTS_LEAF_H

#include "certs/end_point.h"
#include "proxy/base/text.h"

enum { LEAF_FINGERPRINT = 32 };

struct leaf {
	struct str *names; // DNS names, as they are written; none when it is damaged
	size_t num_names;
	uint8_t end_point[END_POINT_MAX];
	size_t end_point_len;
	uint8_t fingerprint[LEAF_FINGERPRINT]; // SHA-256 of the certificate
	int64_t not_before, not_after;         // its first and last second, by unix time
	bool wants_staple; // no client shall take it without an OCSP response (RFC 7633)
};

enum { LEAF_WARNING_S = 30 * 24 * 60 * 60 }; // where no certificate_warning is to be had

// Whether it is time to warn of the end, which is not there yet: for the time of
// `warning_s` before it, and of a certificate that lives shortly in its last third, which
// is when tools renew it.  Times in seconds, by unix time.
bool leaf_ends_soon(int64_t not_before, int64_t not_after, int64_t now, int64_t warning_s);

// Times as above.
bool leaf_is_valid(const struct leaf *leaf, int64_t now);

// Of one that is not: "is valid only from ..." or "has expired on ...".
void leaf_print_invalidity(const struct leaf *leaf, int64_t now, struct text *out);

// Which of two certificates in DER clients need and is not valid now: the leaf, or the
// intermediate one that has issued it; `issuer` may be another's, a root's, which clients have
// themselves, or "".  Whether they need what comes behind those depends on whom they know.
// True with that one read, and in words in *out_what: "the certificate", "the intermediate
// certificate of CN=x"; the zero state when both are valid.  The caller's, until leaf_done.
bool leaf_find_untimely(
    struct str leaf, struct str issuer, int64_t now, struct leaf *out, struct text *out_what);

// Reads DER.  It is the caller's, until leaf_done.
void leaf_read(struct str der, struct leaf *out_leaf);
void leaf_done(struct leaf *leaf);

#endif
