// client_strength.h: whether the keys and signatures of a client's chain are strong enough.
//
// Inside certs/; pure.  What may sign in a handshake is up to BoringSSL's lists
// (proxy/net/tls_strength.c); of certificates it takes signatures with MD5 and keys of any
// length, so that is judged here by the same profiles.
#ifndef POPGATE_CERTS_CLIENT_STRENGTH_H
#define POPGATE_CERTS_CLIENT_STRENGTH_H

#include "proxy/net/tls.h"

struct stack_st_X509;

// The chain as it was verified, leaf first, the authority that vouches for itself last:
// that one's key counts, its signature does not.  RSA from 2048 bits, the curves of P-256
// and above, Ed25519, and SHA-2; in legacy RSA from 1024 bits and SHA-1 too.
// False with the reason in *why.
__attribute__((warn_unused_result)) bool client_chain_is_strong(
    const struct stack_st_X509 *chain, enum tls_profile profile, struct text *why);

#endif
