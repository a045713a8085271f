// trust.h: whether a backend's certificate is to be believed.
//
// Made with a snapshot, one for each backend that uses TLS; asked during its
// handshakes.  Either a pinned fingerprint decides alone, or the chain must
// lead to an authority of the file and the leaf must carry the name.
#ifndef POPGATE_CERTS_TRUST_H
#define POPGATE_CERTS_TRUST_H

#include "proxy/net/tls.h"

struct trust;

// Believes one certificate only: that with this SHA-256, in hexadecimal with or
// without colons.  NULL with the reason in *why when it is none.
struct trust *trust_fingerprint(struct str fingerprint, struct text *why);

// Believes what the authorities in the PEM file vouch for.  NULL with the
// reason in *why when the file holds none.
struct trust *trust_authorities(const char *ca_path, struct text *why);

void trust_free(struct trust **trust);

// A tls_verify_fn; the context is the trust.  `name` is a host name or an
// address (RFC 6125, RFC 7817).
tls_verify_fn trust_verify;

#endif
