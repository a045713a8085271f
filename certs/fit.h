// fit.h: which chain and private key are a pair that popgate serves.
//
// One rule for whoever asks: a start, a reload, `popgate check` and the watcher of renewals
// ask by pair.h, `popgate cert install` and `popgate cert check` by load.h.  What it passes, some
// client can be served; what clients may dislike in it is survey.h's to say.
#ifndef POPGATE_CERTS_FIT_H
#define POPGATE_CERTS_FIT_H

#include "certs/pair.h"

// Bytes of all certificates together.  OpenSSL's clients take 100 KiB with what stands between
// them, and a staple; what authorities issue stays below a tenth of it.
enum { FIT_CHAIN_MAX = 64 * 1024 };

// The paths are for messages; `key_path` NULL: the private key is somebody else's to judge.
// False with the reason and the next step in *why when a certificate is damaged, they are too
// large, the key does not belong to the first, or that is an authority's, or its key can sign
// nothing that TLS wants.
//
// An authority's is served all the same where it vouches for itself: so `openssl req -x509` makes
// them.  A usage without digitalSignature is enough for RSA with keyEncipherment, which clients of
// OpenSSL do not mind, and which RSA key exchange is made with.
__attribute__((warn_unused_result)) bool fit_judge(
    const struct pair *pair, const char *chain_path, const char *key_path, struct text *why);

#endif
