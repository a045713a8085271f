// load.h: reads a certificate chain and its private key, to be served.
//
// Called when a snapshot is made, by the supervisor, with its rights.
#ifndef POPGATE_CERTS_LOAD_H
#define POPGATE_CERTS_LOAD_H

#include "proxy/net/tls.h"

// NULL with the reason in *why, as pair_read (certs/pair.h) says it, or BoringSSL.
struct tls_certificate *certs_load(const char *chain_path, const char *key_path, struct text *why);

#endif
