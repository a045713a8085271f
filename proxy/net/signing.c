// signing.c: frames, and what may be signed.  See signing.h.
#include "proxy/net/signing.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

// ---- frames -------------------------------------------------------------

bool signing_take(struct str *packet, size_t most, struct signing_frame *out)
{
	if (packet->len < sizeof(out->head))
		return false;
	memcpy(&out->head, packet->at, sizeof(out->head));
	struct str rest = str_drop(*packet, sizeof(out->head));
	if (out->head.len > most || out->head.len > rest.len)
		return false;
	out->bytes = str_take(rest, out->head.len);
	*packet = str_drop(rest, out->head.len);
	return true;
}

size_t signing_add(char *packet, size_t len, const struct signing_head *head, struct str bytes)
{
	struct signing_head whole = *head;
	whole.len = (uint16_t)bytes.len;
	memcpy(packet + len, &whole, sizeof(whole));
	if (bytes.len)
		memcpy(packet + len + sizeof(whole), bytes.at, bytes.len);
	return len + sizeof(whole) + bytes.len;
}

// ---- what may be signed -------------------------------------------------

enum {
	PADDING = 64,
	RANDOMS = 64,
	CURVE_HEAD = 4, // type, curve, length of the point
	NAMED_CURVE = 3,
	UNCOMPRESSED = 4,
};

// Behind the padding; the NUL at its end is part of it.
static const char context[] = "TLS 1.3, server CertificateVerify";

static bool is_transcript_hash(size_t len)
{
	return len == 32 || len == 48; // of SHA-256 and SHA-384, which TLS 1.3 suites have
}

static bool is_certificate_verify(struct str text)
{
	struct str middle = str_take(str_drop(text, PADDING), sizeof(context));
	for (size_t i = 0; i < PADDING && i < text.len; i++)
		if (text.at[i] != ' ')
			return false;
	return str_eq(middle, (struct str){context, sizeof(context)}) &&
	       is_transcript_hash(text.len - PADDING - sizeof(context));
}

// Of the curves that TLS 1.2 servers offer.
static size_t point_size(unsigned curve)
{
	switch (curve) {
	case SSL_CURVE_SECP256R1: return 65;
	case SSL_CURVE_SECP384R1: return 97;
	case SSL_CURVE_SECP521R1: return 133;
	case SSL_CURVE_X25519: return 32;
	default: return 0;
	}
}

static bool is_server_key_exchange(struct str text)
{
	const uint8_t *at = (const uint8_t *)text.at + RANDOMS;
	if (text.len <= RANDOMS + CURVE_HEAD || at[0] != NAMED_CURVE)
		return false;
	unsigned curve = (unsigned)(at[1] << 8 | at[2]);
	return at[3] && at[3] == point_size(curve) &&
	       text.len == (size_t)RANDOMS + CURVE_HEAD + at[3] &&
	       (curve == SSL_CURVE_X25519 || at[CURVE_HEAD] == UNCOMPRESSED);
}

bool signing_is_tls(uint16_t algorithm, struct str text)
{
	bool is_pkcs1 = SSL_get_signature_algorithm_key_type(algorithm) == EVP_PKEY_RSA &&
	                !SSL_is_signature_algorithm_rsa_pss(algorithm);
	return is_server_key_exchange(text) || (!is_pkcs1 && is_certificate_verify(text));
}

// ---- the signature ------------------------------------------------------

static bool set_up(EVP_MD_CTX *ctx, EVP_PKEY *key, uint16_t algorithm)
{
	const EVP_MD *digest = SSL_get_signature_algorithm_digest(algorithm);
	EVP_PKEY_CTX *padding;
	if (EVP_PKEY_id(key) != SSL_get_signature_algorithm_key_type(algorithm) ||
	    !EVP_DigestSignInit(ctx, &padding, digest, NULL, key))
		return false;
	return !SSL_is_signature_algorithm_rsa_pss(algorithm) ||
	       (EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) &&
	           EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, -1)); // as long as the digest
}

size_t signing_sign(
    EVP_PKEY *key, uint16_t algorithm, struct str text, uint8_t out_signature[SIGNATURE_MAX])
{
	EVP_MD_CTX ctx;
	size_t len = SIGNATURE_MAX;
	EVP_MD_CTX_init(&ctx);
	if (!set_up(&ctx, key, algorithm) ||
	    !EVP_DigestSign(&ctx, out_signature, &len, (const uint8_t *)text.at, text.len))
		len = 0;
	EVP_MD_CTX_cleanup(&ctx);
	ERR_clear_error();
	return len;
}
