// signing_test.c: frames are taken off as they were put on; only what TLS signs is
// signed, by the algorithm that was asked for and no other.
#include "tests/kit/check.h"

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "proxy/net/signing.h"

enum { P256 = 23, P384 = 24, P521 = 25, X25519 = 29, X448 = 30 };

// ---- texts --------------------------------------------------------------

static struct str certificate_verify(char room[SIGNING_TEXT_MAX], const char *context, size_t hash)
{
	memset(room, ' ', 64);
	memcpy(room + 64, context, strlen(context) + 1);
	memset(room + 64 + strlen(context) + 1, 'h', hash);
	return (struct str){room, 64 + strlen(context) + 1 + hash};
}

static struct str key_exchange(
    char room[SIGNING_TEXT_MAX], char type, char curve, size_t len, char point)
{
	memset(room, ' ', SIGNING_TEXT_MAX);
	room[64] = type;
	room[65] = 0;
	room[66] = curve;
	room[67] = (char)len;
	room[68] = point;
	return (struct str){room, 68 + len};
}

static const char server_context[] = "TLS 1.3, server CertificateVerify";

static void test_certificate_verify(void **state)
{
	static const struct {
		const char *context;
		size_t hash;
		uint16_t algorithm;
		bool good;
	} rows[] = {
	    {server_context, 32, SSL_SIGN_ECDSA_SECP256R1_SHA256, true},
	    {server_context, 48, SSL_SIGN_ECDSA_SECP256R1_SHA256, true},
	    {server_context, 32, SSL_SIGN_RSA_PSS_RSAE_SHA256, true},
	    {server_context, 32, SSL_SIGN_ED25519, true},
	    {server_context, 32, SSL_SIGN_RSA_PKCS1_SHA256, false}, // never in TLS 1.3
	    {server_context, 33, SSL_SIGN_ECDSA_SECP256R1_SHA256, false},
	    {server_context, 0, SSL_SIGN_ECDSA_SECP256R1_SHA256, false},
	    {"TLS 1.3, client CertificateVerify", 32, SSL_SIGN_ECDSA_SECP256R1_SHA256, false},
	    {"TLS, server delegated credentials", 32, SSL_SIGN_ECDSA_SECP256R1_SHA256, false},
	    {"", 32, SSL_SIGN_ECDSA_SECP256R1_SHA256, false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[SIGNING_TEXT_MAX];
		struct str text = certificate_verify(room, rows[i].context, rows[i].hash);
		check(str_of(rows[i].context),
		    signing_is_tls(rows[i].algorithm, text) == rows[i].good);
		room[63] = '!';
		check(str_of(rows[i].context), !signing_is_tls(rows[i].algorithm, text));
	}
}

static void test_key_exchange(void **state)
{
	static const struct {
		const char *name;
		char type, curve;
		uint8_t len;
		char point;
		bool good;
	} rows[] = {
	    {"X25519", 3, X25519, 32, 'x', true},
	    {"P-256", 3, P256, 65, 4, true},
	    {"P-384", 3, P384, 97, 4, true},
	    {"P-521", 3, P521, 133, 4, true},
	    {"P-256, compressed", 3, P256, 33, 2, false},
	    {"P-256, not a point", 3, P256, 65, 2, false},
	    {"P-256, short", 3, P256, 64, 4, false},
	    {"X25519, long", 3, X25519, 33, 'x', false},
	    {"no such curve", 3, X448, 56, 'x', false},
	    {"no such curve, no point", 3, X448, 0, 'x', false},
	    {"a prime", 1, P256, 65, 4, false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[SIGNING_TEXT_MAX];
		struct str row = str_of(rows[i].name);
		struct str text =
		    key_exchange(room, rows[i].type, rows[i].curve, rows[i].len, rows[i].point);
		check(row, signing_is_tls(SSL_SIGN_RSA_PKCS1_SHA256, text) == rows[i].good);
		check(row, signing_is_tls(SSL_SIGN_ECDSA_SECP256R1_SHA256, text) == rows[i].good);
		text.len++;
		check(row, !signing_is_tls(SSL_SIGN_ECDSA_SECP256R1_SHA256, text));
		text.len -= 2;
		check(row, !signing_is_tls(SSL_SIGN_ECDSA_SECP256R1_SHA256, text));
	}
}

static void test_other_texts(void **state)
{
	static const struct str rows[] = {STR(""), STR("GET / HTTP/1.0"), STR("0\x82")};
	char room[SIGNING_TEXT_MAX] = {0};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i], !signing_is_tls(SSL_SIGN_ED25519, rows[i]));
	for (size_t len = 0; len <= sizeof(room); len++)
		assert_false(signing_is_tls(SSL_SIGN_ED25519, (struct str){room, len}));
}

// ---- frames -------------------------------------------------------------

static void test_frames(void **state)
{
	char room[SIGNING_QUESTIONS_MAX];
	struct signing_frame frame;
	size_t len = 0;
	(void)state;
	for (uint32_t i = 0; i < SIGNING_BATCH; i++)
		len = signing_add(room, len,
		    &(struct signing_head){.id = i, .slot = i + 100, .algorithm = 0x403},
		    str_take(STR("abcdefgh"), i));
	struct str packet = {room, len};
	for (uint32_t i = 0; i < SIGNING_BATCH; i++) {
		assert_true(signing_take(&packet, SIGNING_TEXT_MAX, &frame));
		assert_int_equal(frame.head.id, i);
		assert_int_equal(frame.head.slot, i + 100);
		assert_int_equal(frame.head.algorithm, 0x403);
		check_str(STR("bytes"), frame.bytes, str_take(STR("abcdefgh"), i));
	}
	assert_int_equal(packet.len, 0);
	assert_false(signing_take(&packet, SIGNING_TEXT_MAX, &frame));
}

static void test_broken_frames(void **state)
{
	char room[SIGNING_QUESTIONS_MAX];
	size_t len = signing_add(room, 0, &(struct signing_head){0}, STR("12345678"));
	struct signing_frame frame;
	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		struct str packet = {room, cut};
		assert_false(signing_take(&packet, SIGNING_TEXT_MAX, &frame));
		assert_int_equal(packet.len, cut);
	}
	struct str packet = {room, len};
	assert_false(signing_take(&packet, 7, &frame));
	assert_true(signing_take(&packet, 8, &frame));
}

// ---- signatures ---------------------------------------------------------

static EVP_PKEY *ec_key(int curve)
{
	EC_KEY *ec = EC_KEY_new_by_curve_name(curve);
	EVP_PKEY *key = EVP_PKEY_new();
	assert_true(EC_KEY_generate_key(ec));
	assert_true(EVP_PKEY_assign_EC_KEY(key, ec));
	return key;
}

static EVP_PKEY *rsa_key(void)
{
	RSA *rsa = RSA_new();
	BIGNUM *e = BN_new();
	EVP_PKEY *key = EVP_PKEY_new();
	assert_true(BN_set_word(e, RSA_F4));
	assert_true(RSA_generate_key_ex(rsa, 2048, e, NULL));
	assert_true(EVP_PKEY_assign_RSA(key, rsa));
	BN_free(e);
	return key;
}

static EVP_PKEY *ed25519_key(void)
{
	static const uint8_t seed[32] = {1};
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
}

static bool verifies(EVP_PKEY *key, uint16_t algorithm, struct str text, struct str signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *padding;
	assert_true(EVP_DigestVerifyInit(
	    ctx, &padding, SSL_get_signature_algorithm_digest(algorithm), NULL, key));
	if (SSL_is_signature_algorithm_rsa_pss(algorithm))
		assert_true(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) &&
		            EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, -1));
	bool good = EVP_DigestVerify(
	    ctx, (const uint8_t *)signature.at, signature.len, (const uint8_t *)text.at, text.len);
	EVP_MD_CTX_free(ctx);
	return good;
}

static void check_key(EVP_PKEY *key, const uint16_t *good, const uint16_t *bad)
{
	uint8_t signature[SIGNATURE_MAX];
	for (; *good; good++) {
		struct str row = str_of(SSL_get_signature_algorithm_name(*good, 1));
		size_t len = signing_sign(key, *good, STR("a text"), signature);
		check(row, len);
		check(
		    row, verifies(key, *good, STR("a text"), (struct str){(char *)signature, len}));
	}
	for (; *bad; bad++)
		assert_int_equal(signing_sign(key, *bad, STR("a text"), signature), 0);
	EVP_PKEY_free(key);
}

static void test_signatures(void **state)
{
	static const uint16_t ecdsa[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256,
	    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_ECDSA_SECP521R1_SHA512, 0};
	static const uint16_t rsa[] = {SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_RSA_PKCS1_SHA384,
	    SSL_SIGN_RSA_PKCS1_SHA512, SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384,
	    SSL_SIGN_RSA_PSS_RSAE_SHA512, 0};
	static const uint16_t ed25519[] = {SSL_SIGN_ED25519, 0};
	static const uint16_t unknown[] = {1, 0xffff, SSL_SIGN_RSA_PSS_RSAE_SHA256 + 0x40, 0};
	(void)state;
	check_key(ec_key(NID_X9_62_prime256v1), ecdsa, rsa);
	check_key(ec_key(NID_secp384r1), ecdsa, ed25519);
	check_key(rsa_key(), rsa, ecdsa);
	check_key(ed25519_key(), ed25519, ecdsa);
	check_key(ed25519_key(), ed25519, rsa);
	check_key(rsa_key(), rsa, unknown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_certificate_verify),
	    cmocka_unit_test(test_key_exchange),
	    cmocka_unit_test(test_other_texts),
	    cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_broken_frames),
	    cmocka_unit_test(test_signatures),
	};
	return cmocka_run_group_tests_name("signing", tests, NULL, NULL);
}
