// tls_context.c: what the contexts of both sides have in common.  See tls_priv.h.
//
// Contexts use CRYPTO_BUFFERs instead of X509 objects: certificates are judged in
// certs/, and a session need not hold a parsed one.
#include "proxy/net/tls_priv.h"

#include <openssl/err.h>

// Key exchange, the best first; BoringSSL also calls them curves. Debian's is from before ML-KEM,
// and refuses a list with a name that it does not know.
#ifdef SSL_GROUP_X25519_MLKEM768
static const char groups[] = "X25519MLKEM768:X25519:P-256";
#else
static const char groups[] = "X25519:P-256";
#endif

const char *tls_last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return reason ? reason : "unknown TLS error";
}

SSL_CTX *tls_context_new(const struct tls_strength *strength, struct text *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
	if (ctx && tls_strength_of_context(ctx, strength) &&
	    SSL_CTX_set1_curves_list(ctx, groups)) {
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
