// load.h: reads a certificate chain and its private key from PEM files.
//
// Called when a snapshot is made, by the supervisor, with its rights.  Every
// refusal names the file and the reason.
#ifndef POPGATE_CERTS_LOAD_H
#define POPGATE_CERTS_LOAD_H

#include "proxy/net/tls.h"

// The pair as a context for serving it.  NULL with the reason in *why when a
// file cannot be read, holds no certificate or key, holds an encrypted key, or
// the two do not belong together.
struct tls_server *certs_load(
    const char *chain_path, const char *key_path, bool session_tickets, struct text *why);

#endif
