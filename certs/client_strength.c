// client_strength.c: how strong a client's chain is.  See client_strength.h.
#include "certs/client_strength.h"

#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>

#include "certs/end_point.h"
#include "certs/subject.h"

enum { EC_BITS_MIN = 256 };

struct limits {
	int rsa_bits;
	bool sha1;
};

static const struct limits usual = {2048, false};
static const struct limits legacy = {1024, true};

static bool is_strong_key(const EVP_PKEY *key, const struct limits *limits)
{
	switch (EVP_PKEY_id(key)) {
	case EVP_PKEY_RSA: return EVP_PKEY_bits(key) >= limits->rsa_bits;
	case EVP_PKEY_EC: return EVP_PKEY_bits(key) >= EC_BITS_MIN;
	default: return EVP_PKEY_id(key) == EVP_PKEY_ED25519;
	}
}

static bool has_strong_key(X509 *certificate, const struct limits *limits, struct text *why)
{
	EVP_PKEY *key = X509_get_pubkey(certificate);
	bool is_strong = key && is_strong_key(key, limits);
	if (!is_strong) {
		text_add(why, STR("the key is too weak for this tls_profile: "));
		subject_print_key(key, why);
	}
	EVP_PKEY_free(key);
	return is_strong;
}

static bool is_strong_hash(int nid, const struct limits *limits)
{
	switch (nid) {
	case NID_sha256:
	case NID_sha384:
	case NID_sha512: return true;
	default: return nid == NID_sha1 && limits->sha1;
	}
}

static bool has_strong_signature(
    const X509 *certificate, const struct limits *limits, struct text *why)
{
	int hash = end_point_hash_nid(certificate);
	bool is_strong =
	    X509_get_signature_nid(certificate) == NID_ED25519 || is_strong_hash(hash, limits);
	if (!is_strong)
		text_addf(
		    why, "the signature is too weak for this tls_profile: %s", OBJ_nid2sn(hash));
	return is_strong;
}

bool client_chain_is_strong(
    const struct stack_st_X509 *chain, enum tls_profile profile, struct text *why)
{
	const struct limits *limits = profile == TLS_PROFILE_legacy ? &legacy : &usual;
	size_t num = sk_X509_num(chain);
	for (size_t i = 0; i < num; i++) {
		X509 *certificate = sk_X509_value(chain, i);
		bool is_last = i + 1 == num;
		if (has_strong_key(certificate, limits, why) &&
		    (is_last || has_strong_signature(certificate, limits, why)))
			continue;
		if (i)
			text_add(why, STR(", for an authority in its chain"));
		return false;
	}
	return true;
}
