// load.h: a certificate chain and its private key, to be served.
//
// Called when a snapshot is made, by the supervisor, with its rights, and when a
// certificate is replaced; by `popgate explain` for the names.
#ifndef POPGATE_CERTS_LOAD_H
#define POPGATE_CERTS_LOAD_H

#include "certs/pair.h"

struct x509_st;

// With an OCSP response (DER), or "" for none.  NULL with the reason in *why when
// BoringSSL refuses.
struct tls_certificate *certs_make(const struct pair *pair, struct str staple, struct text *why);

// Of the files.  NULL with the reason in *why, as pair_read or certs_make say it.
struct tls_certificate *certs_load(const char *chain_path, const char *key_path, struct text *why);

// The same where a signer has the private key, in that slot: it is not read here, and
// whether it belongs to the chain is the signer's to say.
struct tls_certificate *certs_load_public(
    const char *chain_path, struct signer *signer, uint32_t slot, struct text *why);

// Whether a start would take such a pair: certificates in the order of a chain, and the key.
// Nothing becomes ours; the paths are for messages.  False with the reason in *why.
__attribute__((warn_unused_result)) bool certs_would_serve(struct x509_st *const *chain, size_t num,
    struct evp_pkey_st *key, const char *chain_path, const char *key_path, struct text *why);

// Whether a client that asks for this host name can be served the first certificate of
// the file; nothing else is looked at.  False with the reason in *why when the file cannot
// be read.
__attribute__((warn_unused_result)) bool certs_has_name(
    const char *chain_path, struct str name, bool *out_has, struct text *why);

#endif
