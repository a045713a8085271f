// request.h: a request for a certificate (PKCS #10, RFC 2986), which an authority
// answers with one.
#ifndef POPGATE_CERTS_REQUEST_H
#define POPGATE_CERTS_REQUEST_H

#include "certs/naming.h"
#include "proxy/base/buf.h"

struct evp_pkey_st;

// Appends the request in PEM form, signed by the key.  The naming is a checked one.
void request_print(const struct naming *naming, struct evp_pkey_st *key, struct buf *out);

#endif
