// pem.h: what BoringSSL has written into a BIO, as bytes of ours.
//
// Inside certs/ only.
#ifndef POPGATE_CERTS_PEM_H
#define POPGATE_CERTS_PEM_H

#include "proxy/base/buf.h"

struct bio_st;

// Appends all that is in the memory BIO, and frees it, which wipes it.
void pem_take(struct bio_st *bio, struct buf *out);

#endif
