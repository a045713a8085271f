// pair.c: from PEM files to a chain and a key.  See pair.h.
//
// Files are read whole first, so that "cannot be read" and "is not PEM" are
// told apart.
#include "certs/pair.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "certs/fit.h"
#include "certs/input.h"
#include "certs/pem.h"
#include "certs/private_key.h"
#include "certs/subject.h"
#include "proxy/base/die.h"

static bool add_certificate(struct pair *pair, const uint8_t *der, long len)
{
	if (pair->num_chain == TLS_CHAIN_MAX)
		return false;
	CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, (size_t)len, NULL);
	if (buffer)
		pair->chain[pair->num_chain++] = buffer;
	return buffer;
}

static bool starts(struct str line, struct str prefix)
{
	return str_eq(str_take(line, prefix.len), prefix);
}

// How many first and last lines of blocks there are (RFC 7468 section 2), that of one that
// is cut off too.  Other lines of dashes are somebody's text.
static size_t count_rules(struct str rest)
{
	size_t num = 0;
	struct str line;
	while (rest.len) {
		str_cut(rest, '\n', &line, &rest);
		num += starts(line, STR("-----BEGIN ")) || starts(line, STR("-----END "));
	}
	return num;
}

static void complain_of_cut(const struct pair *pair, const char *path, struct text *why)
{
	if (pair->num_chain)
		text_addf(why, "the certificate %s is cut off or damaged behind certificate %zu",
		    path, pair->num_chain);
	else
		text_addf(why, "the first certificate in %s is cut off or damaged", path);
	text_add(why, STR("; get it again from the authority, and put it there by popgate cert "
	                  "install"));
}

static bool judge_blocks(
    const struct pair *pair, const char *path, bool fits, bool is_whole, struct text *why)
{
	if (!fits)
		text_addf(why,
		    "the certificate %s holds more than %d certificates; popgate cert install "
		    "leaves out what is not needed",
		    path, TLS_CHAIN_MAX);
	else if (!is_whole)
		complain_of_cut(pair, path, why);
	else if (!pair->num_chain)
		text_addf(why,
		    "%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----); popgate "
		    "cert install takes the authority's answer in other forms too, and puts it "
		    "there in this one",
		    path);
	return text_is_empty(why);
}

// Takes the CERTIFICATE blocks in order; a key in the same file is passed over.
static bool take_blocks(
    struct pair *pair, const char *path, struct str bytes, bool *out_has_key, struct text *why)
{
	BIO *bio = BIO_new_mem_buf(bytes.at, (int)bytes.len);
	char *name, *header;
	uint8_t *der;
	long len;
	bool fits = true;
	BUG_ON(!bio);
	size_t num_blocks = 0, num_rules = count_rules(bytes);
	for (; fits && PEM_read_bio(bio, &name, &header, &der, &len); num_blocks++) {
		if (str_eq(str_of(name), STR("CERTIFICATE")))
			fits = add_certificate(pair, der, len);
		*out_has_key |= strstr(name, "PRIVATE KEY") != NULL;
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	ERR_clear_error();
	BIO_free(bio);
	return judge_blocks(pair, path, fits, num_rules == 2 * num_blocks, why);
}

static bool read_chain(struct pair *pair, const char *path, bool *out_has_key, struct text *why)
{
	struct buf bytes = {0};
	*out_has_key = false;
	bool taken = input_read(path, "certificate", &bytes, why) &&
	             take_blocks(pair, path, pem_skip_mark(buf_str(&bytes)), out_has_key, why);
	buf_done(&bytes);
	return taken;
}

static bool belongs(const EVP_PKEY *key, const char *key_path, struct str leaf,
    const char *chain_path, struct text *why)
{
	X509 *certificate = subject_parse(leaf);
	bool does = certificate && X509_check_private_key(certificate, (EVP_PKEY *)key);
	if (!certificate)
		text_addf(why, "the first certificate in %s is damaged", chain_path);
	else if (!does)
		text_addf(why,
		    "the private key %s does not belong to the first certificate in %s; put the "
		    "two that belong together there by popgate cert install",
		    key_path, chain_path);
	X509_free(certificate);
	ERR_clear_error();
	return does;
}

bool pair_read(
    const char *chain_path, const char *key_path, struct pair *out_pair, struct text *why)
{
	*out_pair = (struct pair){.num_chain = 0};
	bool has_key;
	if (read_chain(out_pair, chain_path, &has_key, why) &&
	    (out_pair->key = private_key_load(key_path, why)) &&
	    fit_judge(out_pair, chain_path, key_path, why))
		return true;
	pair_done(out_pair);
	return false;
}

bool pair_read_chain(const char *chain_path, struct pair *out_pair, struct text *why)
{
	*out_pair = (struct pair){.num_chain = 0};
	bool has_key;
	if (read_chain(out_pair, chain_path, &has_key, why))
		return true;
	pair_done(out_pair);
	return false;
}

struct evp_pkey_st *pair_read_key(
    int fd, const char *key_path, struct str leaf, const char *chain_path, struct text *why)
{
	EVP_PKEY *key = private_key_load_descriptor(fd, key_path, why);
	if (key && !belongs(key, key_path, leaf, chain_path, why))
		private_key_free(&key);
	return key;
}

bool pair_use_signer(struct pair *pair, struct signer *signer, uint32_t slot)
{
	X509 *leaf = X509_parse_from_buffer(pair->chain[0]);
	pair->key = leaf ? X509_get_pubkey(leaf) : NULL;
	pair->signer = signer;
	pair->slot = slot;
	X509_free(leaf);
	ERR_clear_error();
	return pair->key;
}

bool pair_read_public(const char *chain_path, struct signer *signer, uint32_t slot,
    struct pair *out_pair, struct text *why)
{
	*out_pair = (struct pair){.num_chain = 0};
	bool has_key = false;
	if (read_chain(out_pair, chain_path, &has_key, why) && has_key)
		text_addf(why,
		    "%s holds a private key beside the certificate, so that more than the process "
		    "for private keys would read it; move the key to a file of its own, or set "
		    "key_isolation: off",
		    chain_path);
	else if (text_is_empty(why) && fit_judge(out_pair, chain_path, NULL, why) &&
	         pair_use_signer(out_pair, signer, slot))
		return true;
	pair_done(out_pair);
	return false;
}

void pair_done(struct pair *pair)
{
	for (size_t i = 0; i < pair->num_chain; i++)
		CRYPTO_BUFFER_free(pair->chain[i]);
	EVP_PKEY_free(pair->key);
	*pair = (struct pair){.num_chain = 0};
}
