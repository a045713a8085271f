// issue.h: a certificate that vouches for itself, for trying things out and for
// clients that pin it.
#ifndef POPGATE_CERTS_ISSUE_H
#define POPGATE_CERTS_ISSUE_H

#include "certs/naming.h"
#include "proxy/base/buf.h"

struct evp_pkey_st;

// Appends the certificate in PEM form, for a checked naming.  It is valid for so
// many days from `now` (seconds since 1970), and from an hour before, for clients
// whose clocks are slow.
void issue_self_signed(const struct naming *naming, struct evp_pkey_st *key, unsigned days,
    int64_t now, struct buf *out);

#endif
