// load.c: from a pair to what is served.  See load.h.
#include "certs/load.h"

#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "certs/fit.h"
#include "certs/leaf.h"
#include "proxy/base/die.h"
#include "proxy/net/tls_names.h"

static struct str der_of(const CRYPTO_BUFFER *buffer)
{
	return (struct str){(const char *)CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer)};
}

struct tls_certificate *certs_make(const struct pair *pair, struct str staple, struct text *why)
{
	struct leaf leaf;
	leaf_read(der_of(pair->chain[0]), &leaf);
	struct tls_certificate_options options = {
	    .chain = pair->chain,
	    .num_chain = pair->num_chain,
	    .key = pair->key,
	    .signer = pair->signer,
	    .slot = pair->slot,
	    .end_point = {(const char *)leaf.end_point, leaf.end_point_len},
	    .names = leaf.names,
	    .num_names = leaf.num_names,
	    .staple = staple,
	};
	struct tls_certificate *certificate = tls_certificate_new(&options, why);
	leaf_done(&leaf);
	return certificate;
}

// Of a pair that is done with then.  Only BoringSSL can still refuse, which knows no path.
static struct tls_certificate *make_of(struct pair *pair, const char *chain_path, struct text *why)
{
	char room[256];
	struct text reason = TEXT(room);
	struct tls_certificate *certificate = certs_make(pair, STR(""), &reason);
	if (!certificate)
		text_addf(why, "the certificate %s cannot be used: %s", chain_path, room);
	pair_done(pair);
	return certificate;
}

struct tls_certificate *certs_load(const char *chain_path, const char *key_path, struct text *why)
{
	struct pair pair;
	return pair_read(chain_path, key_path, &pair, why) ? make_of(&pair, chain_path, why) : NULL;
}

struct tls_certificate *certs_load_public(
    const char *chain_path, struct signer *signer, uint32_t slot, struct text *why)
{
	struct pair pair;
	return pair_read_public(chain_path, signer, slot, &pair, why)
	           ? make_of(&pair, chain_path, why)
	           : NULL;
}

static CRYPTO_BUFFER *bytes_of(X509 *certificate)
{
	uint8_t *der = NULL;
	int len = i2d_X509(certificate, &der);
	CRYPTO_BUFFER *bytes = len > 0 ? CRYPTO_BUFFER_new(der, (size_t)len, NULL) : NULL;
	OPENSSL_free(der);
	BUG_ON(!bytes);
	return bytes;
}

bool certs_would_serve(struct x509_st *const *chain, size_t num, struct evp_pkey_st *key,
    const char *chain_path, const char *key_path, struct text *why)
{
	struct pair pair = {.key = key};
	for (; pair.num_chain < num; pair.num_chain++)
		pair.chain[pair.num_chain] = bytes_of(chain[pair.num_chain]);
	EVP_PKEY_up_ref(key);
	struct tls_certificate *certificate = NULL;
	if (fit_judge(&pair, chain_path, key_path, why))
		certificate = make_of(&pair, chain_path, why);
	else
		pair_done(&pair);
	bool would = certificate;
	tls_certificate_free(&certificate);
	return would;
}

bool certs_has_name(const char *chain_path, struct str name, bool *out_has, struct text *why)
{
	struct pair pair;
	struct leaf leaf;
	*out_has = false;
	if (!pair_read_chain(chain_path, &pair, why))
		return false;
	leaf_read(der_of(pair.chain[0]), &leaf);
	for (size_t i = 0; i < leaf.num_names && tls_name_is_host(name); i++)
		*out_has |= tls_name_match(leaf.names[i], name) != TLS_MATCH_none;
	leaf_done(&leaf);
	pair_done(&pair);
	return true;
}
