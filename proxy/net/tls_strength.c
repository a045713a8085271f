// tls_strength.c: from what an administrator asks of TLS to versions, suites and signatures.
// See tls.h.
//
// BoringSSL takes suites as text and versions as numbers; both are made from the
// table when a context is, or for the one connection that is an exception.
#include "proxy/net/tls_priv.h"

enum exchange { EXCHANGE_ECDHE, EXCHANGE_RSA };

struct suite {
	const char *name;
	unsigned bits;
	enum tls_profile profile;
	enum exchange exchange;
};

#define SUITE(name, bits, profile, exchange)                                                       \
	{name, bits, TLS_PROFILE_##profile, EXCHANGE_##exchange},
static const struct suite suites[] = {
#include "proxy/net/tls_suites.def"
};
#undef SUITE

enum { TLS13_BITS = 128 }; // what may come out of TLS 1.3's own choice

static const uint16_t floors[] = {
    [TLS_PROFILE_modern] = TLS1_3_VERSION,
    [TLS_PROFILE_intermediate] = TLS1_2_VERSION,
    [TLS_PROFILE_legacy] = TLS1_VERSION,
};

// What signs in TLS 1.2 and 1.3, here and at clients with a certificate, the best first;
// before, there is no choice.  RFC 9155, section 4, forbids SHA-1, and it is in legacy for
// the same programs as the suites.
static const uint16_t signatures[] = {
    SSL_SIGN_ED25519,
    SSL_SIGN_ECDSA_SECP256R1_SHA256,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA512,
    SSL_SIGN_ECDSA_SHA1,
    SSL_SIGN_RSA_PKCS1_SHA1,
};
enum { NUM_BY_SHA1 = 2 }; // they stand last

const struct tls_strength tls_usual_strength = {.profile = TLS_PROFILE_intermediate};

static uint16_t min_version(const struct tls_strength *strength)
{
	uint16_t floor = floors[strength->profile];
	return strength->min_version > floor ? strength->min_version : floor;
}

static uint16_t max_version(const struct tls_strength *strength)
{
	return strength->min_bits > TLS13_BITS ? TLS1_2_VERSION : TLS1_3_VERSION;
}

// That of TLS 1.3 alone needs no suites of TLS 1.2, and no list may be empty.
static bool is_in(const struct suite *suite, const struct tls_strength *strength)
{
	enum tls_profile profile =
	    strength->profile == TLS_PROFILE_legacy ? TLS_PROFILE_legacy : TLS_PROFILE_intermediate;
	return suite->profile <= profile && suite->bits >= strength->min_bits &&
	       (suite->exchange == EXCHANGE_ECDHE || !strength->forward_secrecy);
}

bool tls_strength_has_sha1(const struct tls_strength *strength)
{
	return strength->profile == TLS_PROFILE_legacy;
}

static size_t num_signatures(const struct tls_strength *strength)
{
	size_t all = sizeof(signatures) / sizeof(signatures[0]);
	return tls_strength_has_sha1(strength) ? all : all - NUM_BY_SHA1;
}

static void list_suites(const struct tls_strength *strength, struct text *out)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (is_in(&suites[i], strength))
			text_addf(out, "%s%s", out->len ? ":" : "", suites[i].name);
}

bool tls_strength_of_context(SSL_CTX *ctx, const struct tls_strength *strength)
{
	char room[1024];
	struct text list = TEXT(room);
	list_suites(strength, &list);
	return SSL_CTX_set_min_proto_version(ctx, min_version(strength)) &&
	       SSL_CTX_set_max_proto_version(ctx, max_version(strength)) &&
	       SSL_CTX_set_strict_cipher_list(ctx, room) &&
	       SSL_CTX_set_signing_algorithm_prefs(ctx, signatures, num_signatures(strength));
}

bool tls_strength_of_connection(SSL *ssl, const struct tls_strength *strength)
{
	char room[1024];
	struct text list = TEXT(room);
	list_suites(strength, &list);
	return SSL_set_min_proto_version(ssl, min_version(strength)) &&
	       SSL_set_max_proto_version(ssl, max_version(strength)) &&
	       SSL_set_strict_cipher_list(ssl, room) &&
	       SSL_set_signing_algorithm_prefs(ssl, signatures, num_signatures(strength)) &&
	       SSL_set_verify_algorithm_prefs(ssl, signatures, num_signatures(strength));
}

bool tls_strength_of_clients(SSL_CTX *ctx, const struct tls_strength *strength)
{
	return SSL_CTX_set_verify_algorithm_prefs(ctx, signatures, num_signatures(strength));
}
