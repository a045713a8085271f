// end_point_test.c: by which hash function a certificate is bound to, for each kind
// of signature that it can have.
#include "tests/kit/check.h"

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "certs/end_point.h"

static EVP_PKEY *make_key(int type)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(type, NULL);
	EVP_PKEY *key = NULL;
	assert_true(EVP_PKEY_keygen_init(ctx));
	if (type == EVP_PKEY_RSA)
		assert_true(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048));
	if (type == EVP_PKEY_EC)
		assert_true(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1));
	assert_true(EVP_PKEY_keygen(ctx, &key));
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static X509 *certificate_of(EVP_PKEY *key)
{
	X509 *x509 = X509_new();
	X509_set_version(x509, 2);
	X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
	X509_set_pubkey(x509, key);
	return x509;
}

static void sign(X509 *x509, EVP_PKEY *key, const EVP_MD *hash, bool is_pss)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_ctx;
	assert_true(EVP_DigestSignInit(ctx, &key_ctx, hash, NULL, key));
	if (is_pss) {
		assert_true(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING));
		assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, -1));
		assert_true(EVP_PKEY_CTX_set_rsa_mgf1_md(key_ctx, hash));
	}
	assert_true(X509_sign_ctx(x509, ctx));
	EVP_MD_CTX_free(ctx);
}

// BoringSSL of today does not sign with MD5. Only the name of the signature matters here.
static void sign_with_md5(X509 *x509, EVP_PKEY *key)
{
	X509_ALGOR *name = X509_ALGOR_new();
	sign(x509, key, EVP_sha1(), false);
	assert_true(
	    X509_ALGOR_set0(name, OBJ_nid2obj(NID_md5WithRSAEncryption), V_ASN1_NULL, NULL));
	assert_true(X509_set1_signature_algo(x509, name));
	X509_ALGOR_free(name);
}

struct signature {
	struct str row;
	int key;
	const EVP_MD *(*hash)(void); // NULL: the signature knows none
	bool is_pss;
	const EVP_MD *(*wanted)(void); // NULL: no end point
};

static void check_signature(const struct signature *signature)
{
	uint8_t *der = NULL, found[END_POINT_MAX], wanted[END_POINT_MAX];
	unsigned wanted_len = 0;
	EVP_PKEY *key = make_key(signature->key);
	X509 *x509 = certificate_of(key);
	if (signature->hash == EVP_md5)
		sign_with_md5(x509, key);
	else
		sign(x509, key, signature->hash ? signature->hash() : NULL, signature->is_pss);
	int len = i2d_X509(x509, &der);
	struct str bytes = {(const char *)der, (size_t)len};
	if (signature->wanted)
		EVP_Digest(der, bytes.len, wanted, &wanted_len, signature->wanted(), NULL);
	size_t found_len = end_point_hash(bytes, found);
	check(signature->row, found_len == wanted_len && !memcmp(found, wanted, found_len));
	OPENSSL_free(der);
	X509_free(x509);
	EVP_PKEY_free(key);
}

static void test_signatures(void **state)
{
	(void)state;
	static const struct signature signatures[] = {
	    {STR("ecdsa sha256"), EVP_PKEY_EC, EVP_sha256, false, EVP_sha256},
	    {STR("ecdsa sha384"), EVP_PKEY_EC, EVP_sha384, false, EVP_sha384},
	    {STR("ecdsa sha1"), EVP_PKEY_EC, EVP_sha1, false, EVP_sha256},
	    {STR("rsa md5"), EVP_PKEY_RSA, EVP_md5, false, EVP_sha256},
	    {STR("rsa sha1"), EVP_PKEY_RSA, EVP_sha1, false, EVP_sha256},
	    {STR("rsa sha256"), EVP_PKEY_RSA, EVP_sha256, false, EVP_sha256},
	    {STR("rsa sha512"), EVP_PKEY_RSA, EVP_sha512, false, EVP_sha512},
	    {STR("pss sha256"), EVP_PKEY_RSA, EVP_sha256, true, EVP_sha256},
	    {STR("pss sha384"), EVP_PKEY_RSA, EVP_sha384, true, EVP_sha384},
	    {STR("pss sha512"), EVP_PKEY_RSA, EVP_sha512, true, EVP_sha512},
	    {STR("ed25519"), EVP_PKEY_ED25519, NULL, false, NULL},
	};
	for (size_t i = 0; i < NUM(signatures); i++)
		check_signature(&signatures[i]);
}

static void test_damaged(void **state)
{
	(void)state;
	uint8_t found[END_POINT_MAX];
	assert_int_equal(end_point_hash(STR(""), found), 0);
	assert_int_equal(end_point_hash(STR("no certificate"), found), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_signatures),
	    cmocka_unit_test(test_damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
