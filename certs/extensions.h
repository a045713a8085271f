// extensions.h: what a certificate for a server says it is good for; the same in a
// request, which asks for it.
//
// Inside certs/ only.
#ifndef POPGATE_CERTS_EXTENSIONS_H
#define POPGATE_CERTS_EXTENSIONS_H

#include "certs/naming.h"

struct evp_pkey_st;
struct stack_st_X509_EXTENSION;

// The names, no authority, signing (and, with RSA, key encipherment for old
// clients), server authentication (RFC 5280 sections 4.2.1.3, 4.2.1.6, 4.2.1.9,
// 4.2.1.12).  The caller frees them with BoringSSL's functions.
struct stack_st_X509_EXTENSION *extensions_of_server(
    const struct naming *naming, const struct evp_pkey_st *key);

#endif
