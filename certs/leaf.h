// leaf.h: what is read in a certificate of ours.
//
// Pure.  Who calls it: what makes certificates to serve (load.h), and what tells of them
// in the log.
#ifndef POPGATE_CERTS_LEAF_H
#define POPGATE_CERTS_LEAF_H

#include "certs/end_point.h"

enum { LEAF_FINGERPRINT = 32 };

struct leaf {
	struct str *names; // DNS names, as they are written; none when it is damaged
	size_t num_names;
	uint8_t end_point[END_POINT_MAX];
	size_t end_point_len;
	uint8_t fingerprint[LEAF_FINGERPRINT]; // SHA-256 of the certificate
	int64_t not_after;                     // its last second, by unix time
};

// Reads DER.  It is the caller's, until leaf_done.
void leaf_read(struct str der, struct leaf *out_leaf);
void leaf_done(struct leaf *leaf);

#endif
