// parcel.h: a certificate on its way from the supervisor to a worker: chain, private key
// (or the slot in which a signer has it) and OCSP response in one sealed memfd.
//
// A worker has no right to read the key's file, so it gets what was read.  The memory is
// gone when both sides have closed it; neither keeps a copy of the key beside that which
// BoringSSL has.
#ifndef POPGATE_CERTS_PARCEL_H
#define POPGATE_CERTS_PARCEL_H

#include "proxy/net/tls.h"

// The certificate, which stands at `index` in the configuration.  The caller closes the
// descriptor; -1 with the reason in *why when the system refuses.
int parcel_make(uint32_t index, const struct tls_certificate *certificate, struct text *why);

// What another process made; a certificate that has a signer there has this one here.
// Takes over fd.  NULL with the reason in *why when it is no
// parcel, or what it holds cannot be served.
struct tls_certificate *parcel_open(
    int fd, struct signer *signer, uint32_t *out_index, struct text *why);

#endif
