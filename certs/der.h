// der.h: tells by their first bytes what files in DER form are, which are none that we take.
//
// Inside certs/, for saying what to do with them.  Pure.
#ifndef POPGATE_CERTS_DER_H
#define POPGATE_CERTS_DER_H

#include "proxy/base/str.h"

// A .p12 or .pfx (RFC 7292 section 4).
bool der_is_pkcs12(struct str bytes);

// A private key with a passphrase (RFC 5958 section 3).
bool der_is_encrypted_key(struct str bytes);

#endif
