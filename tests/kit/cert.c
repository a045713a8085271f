// cert.c: making a certificate.  See cert.h.
#include "tests/kit/cert.h"

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "tests/kit/check.h"

static EVP_PKEY *new_key(void)
{
	EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	EVP_PKEY *key = EVP_PKEY_new();
	assert_true(EC_KEY_generate_key(ec));
	assert_true(EVP_PKEY_assign_EC_KEY(key, ec));
	return key;
}

static X509 *self_signed(EVP_PKEY *key)
{
	static const uint8_t name[] = "pop.test";
	X509 *x509 = X509_new();
	X509_NAME *subject = X509_get_subject_name(x509);
	X509_set_version(x509, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
	X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0);
	X509_set_issuer_name(x509, subject);
	X509_set_pubkey(x509, key);
	assert_true(X509_sign(x509, key, EVP_sha256()));
	return x509;
}

struct tls_certificate *cert_certificate(void)
{
	char room[256];
	struct text why = TEXT(room);
	uint8_t *der = NULL;
	EVP_PKEY *key = new_key();
	X509 *x509 = self_signed(key);
	int len = i2d_X509(x509, &der);
	CRYPTO_BUFFER *leaf = CRYPTO_BUFFER_new(der, (size_t)len, NULL);
	struct tls_certificate_options options = {.chain = &leaf, .num_chain = 1, .key = key};
	struct tls_certificate *certificate = tls_certificate_new(&options, &why);
	CRYPTO_BUFFER_free(leaf);
	OPENSSL_free(der);
	X509_free(x509);
	EVP_PKEY_free(key);
	if (!certificate)
		fail_msg("%s", room);
	return certificate;
}

struct tls_server *cert_server(void)
{
	char room[256];
	struct text why = TEXT(room);
	struct tls_certificate *certificate = cert_certificate();
	struct tls_server_options options = {
	    .certificates = &certificate,
	    .num_certificates = 1,
	    .strength = {.profile = TLS_PROFILE_intermediate},
	};
	struct tls_server *server = tls_server_new(&options, &why);
	tls_certificate_free(&certificate);
	if (!server)
		fail_msg("%s", room);
	return server;
}
