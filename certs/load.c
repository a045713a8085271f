// load.c: from a pair to what is served.  See load.h.
#include "certs/load.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "certs/end_point.h"
#include "certs/pair.h"
#include "proxy/base/die.h"

// The names point into what BoringSSL has read.
struct leaf {
	GENERAL_NAMES *read;
	struct str *names;
	size_t num_names;
	uint8_t end_point[END_POINT_MAX];
	size_t end_point_len;
};

static struct str der_of(const CRYPTO_BUFFER *buffer)
{
	return (struct str){(const char *)CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer)};
}

// DNS names alone: clients look at a common name no more (RFC 9525 section 2).
static void find_names(struct leaf *leaf, CRYPTO_BUFFER *buffer)
{
	X509 *x509 = X509_parse_from_buffer(buffer);
	leaf->read = x509 ? X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL) : NULL;
	leaf->names = xcalloc(sk_GENERAL_NAME_num(leaf->read), sizeof(*leaf->names));
	for (size_t i = 0; i < sk_GENERAL_NAME_num(leaf->read); i++) {
		const GENERAL_NAME *each = sk_GENERAL_NAME_value(leaf->read, i);
		if (each->type == GEN_DNS)
			leaf->names[leaf->num_names++] =
			    (struct str){(const char *)ASN1_STRING_get0_data(each->d.dNSName),
			        (size_t)ASN1_STRING_length(each->d.dNSName)};
	}
	X509_free(x509);
	ERR_clear_error();
}

static struct leaf leaf_of(CRYPTO_BUFFER *buffer)
{
	struct leaf leaf = {.num_names = 0};
	find_names(&leaf, buffer);
	leaf.end_point_len = end_point_hash(der_of(buffer), leaf.end_point);
	return leaf;
}

static void leaf_done(struct leaf *leaf)
{
	GENERAL_NAMES_free(leaf->read);
	free(leaf->names);
}

static struct tls_certificate *certificate_of(const struct pair *pair, struct text *why)
{
	struct leaf leaf = leaf_of(pair->chain[0]);
	struct tls_certificate_options options = {
	    .chain = pair->chain,
	    .num_chain = pair->num_chain,
	    .key = pair->key,
	    .end_point = {(const char *)leaf.end_point, leaf.end_point_len},
	    .names = leaf.names,
	    .num_names = leaf.num_names,
	};
	struct tls_certificate *certificate = tls_certificate_new(&options, why);
	leaf_done(&leaf);
	return certificate;
}

struct tls_certificate *certs_load(const char *chain_path, const char *key_path, struct text *why)
{
	struct pair pair;
	if (!pair_read(chain_path, key_path, &pair, why))
		return NULL;
	struct tls_certificate *certificate = certificate_of(&pair, why);
	pair_done(&pair);
	return certificate;
}
