// tls_context.c: what the contexts of both sides have in common.  See tls_priv.h.
//
// Contexts use CRYPTO_BUFFERs instead of X509 objects: certificates are judged in
// certs/, and a session need not hold a parsed one.
#include "proxy/net/tls_priv.h"

#include <openssl/err.h>

// BoringSSL calls them either way; what we pass is the list.
static const char curves[] = "X25519:P-256";
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

const char *tls_last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return reason ? reason : "unknown TLS error";
}

SSL_CTX *tls_context_new(struct text *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_set_strict_cipher_list(ctx, ciphers) && SSL_CTX_set1_curves_list(ctx, curves)) {
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		return ctx;
	}
	SSL_CTX_free(ctx);
	text_add(why, str_of(tls_last_error()));
	return NULL;
}

const char *tls_library(void)
{
#define TEXT_OF_VALUE(value) TEXT_OF(value)
#define TEXT_OF(token) #token
	return "BoringSSL, API version " TEXT_OF_VALUE(BORINGSSL_API_VERSION);
#undef TEXT_OF
#undef TEXT_OF_VALUE
}
