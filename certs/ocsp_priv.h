// ocsp_priv.h: what the ocsp_*.c files share: the two certificates taken apart, and how
// OCSP names one by the other.
#ifndef POPGATE_CERTS_OCSP_PRIV_H
#define POPGATE_CERTS_OCSP_PRIV_H

#include <openssl/bytestring.h>
#include <openssl/x509.h>

#include "certs/ocsp.h"

// DER is taken apart by CBS; texts for people are struct str.
static inline CBS cbs_of(struct str s)
{
	CBS cbs;
	CBS_init(&cbs, (const uint8_t *)s.at, s.len);
	return cbs;
}

// Both are its own; NULL when damaged.
struct ocsp_pair {
	X509 *leaf;
	X509 *issuer;
};

// False with the reason in *why; ocsp_pair_close is due either way.
bool ocsp_pair_open(struct ocsp_pair *pair, const struct ocsp_subject *subject, struct text *why);
void ocsp_pair_close(struct ocsp_pair *pair);

// By name and by signature.
bool ocsp_is_issued_by(X509 *certificate, X509 *issuer);

enum { OCSP_HASH_MAX = 64, OCSP_SERIAL_MAX = 128 };

// What stands in a CertID beside the hash function (RFC 6960 section 4.1.1).
struct ocsp_id {
	uint8_t name[OCSP_HASH_MAX]; // of the issuer
	uint8_t key[OCSP_HASH_MAX];
	unsigned hash_len;
	uint8_t serial[OCSP_SERIAL_MAX]; // an INTEGER, in DER
	size_t serial_len;
};

bool ocsp_id_of(const struct ocsp_pair *pair, const EVP_MD *hash, struct ocsp_id *out);

// The hash of the certificate's key, as the issuerKeyHash has it, and a responder's ID
// too.
bool ocsp_hash_key(const X509 *certificate, const EVP_MD *hash, uint8_t *out, unsigned *out_len);

// What is signed, and by whom.
struct ocsp_signed {
	CBS data;         // the ResponseData, whole
	CBS by_name;      // the responder's Name; empty: it is named by its key
	CBS by_key;       // the SHA-1 of its key
	CBS algorithm;    // an AlgorithmIdentifier, whole
	CBS signature;    // a BIT STRING, whole
	CBS certificates; // one after the other
};

// False with the reason in *why.
bool ocsp_verify(const struct ocsp_signed *response, X509 *issuer, int64_t now, struct text *why);

#endif
