// pair.h: a certificate chain and its private key, read from PEM files.
//
// Every refusal names the file and the reason.
#ifndef POPGATE_CERTS_PAIR_H
#define POPGATE_CERTS_PAIR_H

#include "proxy/net/tls.h"

struct pair {
	struct crypto_buffer_st *chain[TLS_CHAIN_MAX]; // leaf first
	size_t num_chain;
	struct evp_pkey_st *key; // private; where there is a signer, the public one
	struct signer *signer;   // who has the private key instead; NULL: nobody
	uint32_t slot;           // which one that is to the signer
};

// False with the reason in *why when a file cannot be read, holds no certificate or
// key, holds an encrypted key, is cut off, or when the two are no pair to serve (fit.h).
// True: the pair is the caller's, until pair_done.
bool pair_read(
    const char *chain_path, const char *key_path, struct pair *out_pair, struct text *why);

// The chain alone, for whoever shall not have the private key.  Also false when a private
// key stands in that file.
bool pair_read_public(const char *chain_path, struct signer *signer, uint32_t slot,
    struct pair *out_pair, struct text *why);

// The chain as it is, for whoever wants to know what it says; a private key in that file
// is passed over.
__attribute__((warn_unused_result)) bool pair_read_chain(
    const char *chain_path, struct pair *out_pair, struct text *why);

// Gives a chain that has no key a signer.  False when its leaf is damaged.
bool pair_use_signer(struct pair *pair, struct signer *signer, uint32_t slot);

// The private key in an open file, when it belongs to that leaf (DER); the paths are for
// messages.  NULL with the reason in *why.
struct evp_pkey_st *pair_read_key(
    int fd, const char *key_path, struct str leaf, const char *chain_path, struct text *why);

// The zero state is fine.
void pair_done(struct pair *pair);

#endif
