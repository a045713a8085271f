// pair.h: a certificate chain and its private key, read from PEM files.
//
// Every refusal names the file and the reason.
#ifndef POPGATE_CERTS_PAIR_H
#define POPGATE_CERTS_PAIR_H

#include "proxy/net/tls.h"

struct pair {
	struct crypto_buffer_st *chain[TLS_CHAIN_MAX]; // leaf first
	size_t num_chain;
	struct evp_pkey_st *key;
};

// False with the reason in *why when a file cannot be read, holds no certificate or
// key, holds an encrypted key, is cut off, or when the two do not belong together.  True:
// the pair is the caller's, until pair_done.
bool pair_read(
    const char *chain_path, const char *key_path, struct pair *out_pair, struct text *why);

// The zero state is fine.
void pair_done(struct pair *pair);

#endif
