// tls_choice.c: which of a listener's certificates a client is served.  See tls_priv.h.
//
// One that the client can use goes before one that it cannot, the name itself before a
// wildcard, ECDSA before RSA (it costs us a tenth), the order of the file before chance.
// A client that asks for no name, or for one that nobody has, counts as asking for the
// first name of the first certificate: that may lie there with ECDSA and with RSA.
//
// What a client can use is what it says of signatures (RFC 8446 section 4.2.3, RFC 5246
// section 7.4.1.4.1) and, up to TLS 1.2, of cipher suites, and of the curves of keys (RFC
// 8422 section 5.3).  What it says of the chain's signatures (signature_algorithms_cert)
// is not asked: no authority issues other ones.
#include "proxy/net/tls_priv.h"

#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/nid.h>

#include "proxy/net/signing.h"
#include "proxy/net/tls_names.h"

enum { ALGORITHMS_MAX = 8 };

// Algorithms are ended by 0.
struct key_kind {
	int type;
	int curve;      // NID_undef: it has none
	uint16_t group; // the same as clients write it; 0: it has none
	int auth;       // what stands in the cipher suites of TLS 1.2
	uint16_t in_tls13[ALGORITHMS_MAX], in_tls12[ALGORITHMS_MAX];
	uint16_t by_sha1;   // in TLS 1.2, where the server signs by that; 0: none
	const char *advice; // where a client cannot use the certificate's key, but this one
};

#define ADVICE(key)                                                                                \
	"the client cannot use a key of the kind that the certificate has; serve one with " key    \
	" beside it, which the client can use"

#define PKCS1 SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_RSA_PKCS1_SHA384, SSL_SIGN_RSA_PKCS1_SHA512
#define PSS SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA512
#define ECDSA                                                                                      \
	SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384,                          \
	    SSL_SIGN_ECDSA_SECP521R1_SHA512
#define EC(curve, group, in_tls13, name)                                                           \
	{                                                                                          \
		EVP_PKEY_EC, curve, group, NID_auth_ecdsa, {in_tls13}, {ECDSA},                    \
		    SSL_SIGN_ECDSA_SHA1, ADVICE("an ECDSA key (" name ")")                         \
	}

static const struct key_kind kinds[] = {
    EC(NID_X9_62_prime256v1, SSL_CURVE_SECP256R1, SSL_SIGN_ECDSA_SECP256R1_SHA256, "P-256"),
    EC(NID_secp384r1, SSL_CURVE_SECP384R1, SSL_SIGN_ECDSA_SECP384R1_SHA384, "P-384"),
    EC(NID_secp521r1, SSL_CURVE_SECP521R1, SSL_SIGN_ECDSA_SECP521R1_SHA512, "P-521"),
    {EVP_PKEY_ED25519, NID_undef, 0, NID_auth_ecdsa, {SSL_SIGN_ED25519}, {SSL_SIGN_ED25519}, 0,
        ADVICE("an Ed25519 key")},
    {EVP_PKEY_RSA, NID_undef, 0, NID_auth_rsa, {PSS}, {PSS, PKCS1}, SSL_SIGN_RSA_PKCS1_SHA1,
        ADVICE("an RSA key")},
};

// What is looked at of a hello, read once.
struct wanted {
	struct str name;
	const SSL *ssl;
	bool is_tls13, takes_sha1;
	CBS algorithms, groups, suites;
};

static int curve_of(const EVP_PKEY *key)
{
	if (EVP_PKEY_id(key) != EVP_PKEY_EC)
		return NID_undef;
	return EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
}

static const struct key_kind *kind_of(const EVP_PKEY *key)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].type == EVP_PKEY_id(key) && kinds[i].curve == curve_of(key))
			return &kinds[i];
	return NULL;
}

// A signature has room for the smallest digest, its salt and two bytes more (RFC 8017 section
// 9.1.1), and fits the frames in which it is asked for.
static bool is_size_offered(const EVP_PKEY *key)
{
	enum { RSA_MIN = 2 * 32 + 2 };
	size_t size = (size_t)EVP_PKEY_size(key);
	return EVP_PKEY_id(key) != EVP_PKEY_RSA || (size >= RSA_MIN && size <= SIGNATURE_MAX);
}

bool tls_can_sign_with(const EVP_PKEY *key)
{
	return kind_of(key) && is_size_offered(key);
}

// ---- the hello ----------------------------------------------------------

// The numbers in an extension, behind a length of one byte or two; none when there is
// no such extension.
static CBS numbers_in(const SSL_CLIENT_HELLO *hello, uint16_t type, bool is_short)
{
	const uint8_t *at;
	size_t len;
	CBS extension, numbers;
	CBS_init(&numbers, NULL, 0);
	if (!SSL_early_callback_ctx_extension_get(hello, type, &at, &len))
		return numbers;
	CBS_init(&extension, at, len);
	if (!(is_short ? CBS_get_u8_length_prefixed(&extension, &numbers)
	               : CBS_get_u16_length_prefixed(&extension, &numbers)))
		CBS_init(&numbers, NULL, 0);
	return numbers;
}

static bool has_number(CBS numbers, uint16_t wanted)
{
	uint16_t each;
	while (CBS_get_u16(&numbers, &each))
		if (each == wanted)
			return true;
	return false;
}

static struct wanted wanted_by(const SSL_CLIENT_HELLO *hello)
{
	const char *name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
	struct wanted wanted = {
	    .name = name ? str_of(name) : STR(""),
	    .ssl = hello->ssl,
	    .is_tls13 = has_number(numbers_in(hello, TLSEXT_TYPE_supported_versions, true),
	                    TLS1_3_VERSION) &&
	                SSL_get_max_proto_version(hello->ssl) >= TLS1_3_VERSION,
	    .takes_sha1 = tls_strength_has_sha1(tls_strength_of(tls_of(hello->ssl))),
	    .algorithms = numbers_in(hello, TLSEXT_TYPE_signature_algorithms, false),
	    .groups = numbers_in(hello, TLSEXT_TYPE_supported_groups, false),
	};
	CBS_init(&wanted.suites, hello->cipher_suites, hello->cipher_suites_len);
	return wanted;
}

// ---- what the client can use --------------------------------------------

static bool has_one_of(CBS numbers, const uint16_t *ones)
{
	for (; *ones; ones++)
		if (has_number(numbers, *ones))
			return true;
	return false;
}

// A suite of ours and the client's that is for such keys.
static bool has_suite(const struct wanted *wanted, int auth)
{
	const STACK_OF(SSL_CIPHER) *ours = SSL_get_ciphers(wanted->ssl);
	for (size_t i = 0; i < sk_SSL_CIPHER_num(ours); i++) {
		const SSL_CIPHER *each = sk_SSL_CIPHER_value(ours, i);
		if (SSL_CIPHER_get_auth_nid(each) == auth &&
		    has_number(wanted->suites, SSL_CIPHER_get_protocol_id(each)))
			return true;
	}
	return false;
}

// Who says nothing of curves knows all of them (RFC 8422 section 4).
static bool knows_curve(const struct wanted *wanted, uint16_t group)
{
	return !group || !CBS_len(&wanted->groups) || has_number(wanted->groups, group);
}

// Who says nothing of signatures, before TLS 1.3, is one of old who knows SHA-1.
static bool takes_sha1(const struct wanted *wanted, const struct key_kind *kind)
{
	return wanted->takes_sha1 && kind->by_sha1 &&
	       (!CBS_len(&wanted->algorithms) || has_number(wanted->algorithms, kind->by_sha1));
}

static bool can_use(const struct wanted *wanted, const struct key_kind *kind)
{
	if (!kind)
		return false;
	if (wanted->is_tls13)
		return has_one_of(wanted->algorithms, kind->in_tls13);
	return has_suite(wanted, kind->auth) && knows_curve(wanted, kind->group) &&
	       (takes_sha1(wanted, kind) || has_one_of(wanted->algorithms, kind->in_tls12));
}

const char *tls_advise_key(const SSL_CLIENT_HELLO *hello, const struct tls_certificate *certificate)
{
	struct wanted wanted = wanted_by(hello);
	if (can_use(&wanted, kind_of(certificate->key)))
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (can_use(&wanted, &kinds[i]))
			return kinds[i].advice;
	return NULL;
}

// ---- the choice ---------------------------------------------------------

static enum tls_match match(const struct tls_certificate *certificate, struct str name)
{
	enum tls_match best = TLS_MATCH_none;
	for (size_t i = 0; i < certificate->num_names; i++) {
		enum tls_match each = tls_name_match(certificate->names[i], name);
		best = each > best ? each : best;
	}
	return best;
}

static unsigned rank(const struct tls_certificate *certificate, const struct wanted *wanted)
{
	enum { IS_ECDSA = 1, PER_MATCH = 2, CAN_USE = 8 };
	const struct key_kind *kind = kind_of(certificate->key);
	enum tls_match how = match(certificate, wanted->name);
	if (how == TLS_MATCH_none)
		return 0;
	return (can_use(wanted, kind) ? CAN_USE : 0) + PER_MATCH * how +
	       (kind && kind->auth == NID_auth_ecdsa ? IS_ECDSA : 0);
}

static const struct tls_place *best_for(
    const struct tls_server *server, const struct wanted *wanted)
{
	const struct tls_place *best = NULL;
	unsigned best_rank = 0;
	for (size_t i = 0; i < server->num_places; i++) {
		unsigned each = rank(server->places[i].certificate, wanted);
		if (each > best_rank) {
			best = &server->places[i];
			best_rank = each;
		}
	}
	return best;
}

const struct tls_place *tls_choose(
    const struct tls_server *server, const SSL_CLIENT_HELLO *hello, bool *out_known)
{
	const struct tls_certificate *first = server->places->certificate;
	struct wanted wanted = wanted_by(hello);
	const struct tls_place *place =
	    tls_name_is_host(wanted.name) ? best_for(server, &wanted) : NULL;
	*out_known = place;
	if (!place && first->num_names) {
		wanted.name = first->names[0];
		place = best_for(server, &wanted);
	}
	return place ? place : server->places;
}
