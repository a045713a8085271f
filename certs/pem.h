// pem.h: what surrounds BoringSSL's reading and writing of PEM.
//
// Inside certs/ only.
#ifndef POPGATE_CERTS_PEM_H
#define POPGATE_CERTS_PEM_H

#include "proxy/base/buf.h"

struct bio_st;

// Without the byte order mark that some editors put before a text, and behind which BoringSSL
// does not find the first line.
struct str pem_skip_mark(struct str bytes);

// What BoringSSL has written, as bytes of ours.  Appends all that is in the memory BIO, and frees
// it, which wipes it.
void pem_take(struct bio_st *bio, struct buf *out);

#endif
