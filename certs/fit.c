// fit.c: judging a pair before it is served.  See fit.h.
//
// BoringSSL's own objections are words like UNKNOWN_CERTIFICATE_TYPE, and come in part only when
// a client is there; so what it would object to is looked for here.
#include "certs/fit.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509v3.h>

#include "certs/subject.h"

struct judged {
	X509 *chain[TLS_CHAIN_MAX];
	size_t num;
	const EVP_PKEY *key; // NULL: the private key was not read
	const char *chain_path, *key_path;
	struct text *why;
};

static X509 *parse(const CRYPTO_BUFFER *der)
{
	return subject_parse_whole(
	    (struct str){(const char *)CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der)});
}

static bool parse_all(struct judged *judged, const struct pair *pair)
{
	X509 *each = NULL;
	do {
		each = parse(pair->chain[judged->num]);
		judged->chain[judged->num++] = each;
	} while (each && judged->num < pair->num_chain);
	if (!each)
		text_addf(judged->why,
		    "certificate %zu in %s is damaged, for which clients refuse the chain; get it "
		    "again from the authority, and put it there by popgate cert install",
		    judged->num, judged->chain_path);
	return each;
}

static bool check_size(const struct judged *judged, const struct pair *pair)
{
	size_t size = 0;
	for (size_t i = 0; i < pair->num_chain; i++)
		size += CRYPTO_BUFFER_len(pair->chain[i]);
	if (size > FIT_CHAIN_MAX)
		text_addf(judged->why,
		    "the certificates in %s are %zu bytes long, and with more than %d clients may "
		    "refuse them; get a certificate for fewer names: popgate cert request",
		    judged->chain_path, size, FIT_CHAIN_MAX);
	return size <= FIT_CHAIN_MAX;
}

// From 1; 0: none.
static size_t owner_of_key(const struct judged *judged)
{
	size_t i = 0;
	while (i < judged->num && !X509_check_private_key(judged->chain[i], judged->key))
		i++;
	ERR_clear_error();
	return i < judged->num ? i + 1 : 0;
}

static bool check_key(const struct judged *judged)
{
	size_t owner = judged->key ? owner_of_key(judged) : 1;
	if (!owner)
		text_addf(judged->why,
		    "the private key %s does not belong to the first certificate in %s; put the "
		    "two that belong together there by popgate cert install",
		    judged->key_path, judged->chain_path);
	else if (owner > 1)
		text_addf(judged->why,
		    "the private key %s belongs to certificate %zu in %s, which must be the first; "
		    "popgate cert install puts them in order",
		    judged->key_path, owner, judged->chain_path);
	return owner == 1;
}

static bool is_authority(X509 *certificate)
{
	return X509_get_extension_flags(certificate) & EXFLAG_CA;
}

// From 1; 0: none.
static size_t find_server(const struct judged *judged)
{
	for (size_t i = 0; i < judged->num; i++)
		if (!is_authority(judged->chain[i]))
			return i + 1;
	return 0;
}

// Begins a sentence about the first certificate.
static void add_first(const struct judged *judged)
{
	text_add(judged->why, STR("the certificate of "));
	subject_print_name(X509_get_subject_name(judged->chain[0]), judged->why);
	text_addf(judged->why, " in %s ", judged->chain_path);
}

// Who has not read the key cannot say whose it is, but that there is another one for it.
static bool check_authority(const struct judged *judged)
{
	X509 *first = judged->chain[0];
	if (!is_authority(first) || subject_is_self_signed(first))
		return true;
	size_t server = judged->key ? 0 : find_server(judged);
	add_first(judged);
	if (server)
		text_addf(judged->why,
		    "is that of an authority, and not the server's, which is number %zu and must "
		    "be the first; popgate cert install puts them in order",
		    server);
	else
		text_add(judged->why, STR("is that of an authority and not of a server; get one "
		                          "that says CA:FALSE: popgate cert request"));
	return false;
}

static bool is_rsa(X509 *certificate)
{
	EVP_PKEY *key = X509_get_pubkey(certificate);
	bool is = key && EVP_PKEY_id(key) == EVP_PKEY_RSA;
	EVP_PKEY_free(key);
	return is;
}

static bool check_usage(const struct judged *judged)
{
	X509 *first = judged->chain[0];
	uint32_t enough = KU_DIGITAL_SIGNATURE | (is_rsa(first) ? KU_KEY_ENCIPHERMENT : 0);
	if (!(X509_get_extension_flags(first) & EXFLAG_KUSAGE) ||
	    X509_get_key_usage(first) & enough)
		return true;
	add_first(judged);
	text_add(judged->why,
	    STR("has a key that may not sign (no digitalSignature in its usage), so that no "
	        "client could be served; get one that says digitalSignature: popgate cert "
	        "request"));
	return false;
}

// One that BoringSSL cannot read is of no kind at all.
static bool check_kind(const struct judged *judged)
{
	EVP_PKEY *key = X509_get_pubkey(judged->chain[0]);
	bool is_offered = key && tls_can_sign_with(key);
	if (!is_offered) {
		add_first(judged);
		text_add(judged->why, STR("has a key with which popgate cannot sign ("));
		subject_print_key(key, judged->why);
		text_add(judged->why,
		    STR("), so that no client could be served; get one with a key of p256 or "
		        "rsa-2048: popgate cert request"));
	}
	EVP_PKEY_free(key);
	return is_offered;
}

bool fit_judge(
    const struct pair *pair, const char *chain_path, const char *key_path, struct text *why)
{
	struct judged judged = {.key = key_path ? pair->key : NULL,
	    .chain_path = chain_path,
	    .key_path = key_path,
	    .why = why};
	bool fits = parse_all(&judged, pair) && check_size(&judged, pair) && check_key(&judged) &&
	            check_authority(&judged) && check_usage(&judged) && check_kind(&judged);
	for (size_t i = 0; i < judged.num; i++)
		X509_free(judged.chain[i]);
	ERR_clear_error();
	return fits;
}
