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

static const struct {
	int reason;
	const char *sentence;
} errors[] = {
#define TLS_ERROR(reason, sentence) {SSL_R_##reason, sentence " (" #reason ")"},
#include "proxy/net/tls_errors.def"
#undef TLS_ERROR
};

static const char *sentence_of(int reason)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].reason == reason)
			return errors[i].sentence;
	return NULL;
}

const char *tls_last_error_of_client(void)
{
	uint32_t error = ERR_peek_last_error();
	const char *word = tls_last_error();
	const char *sentence =
	    ERR_GET_LIB(error) == ERR_LIB_SSL ? sentence_of(ERR_GET_REASON(error)) : NULL;
	return sentence ? sentence : word;
}

bool tls_failed_by_key(void)
{
	uint32_t error = ERR_peek_last_error();
	int reason = ERR_GET_REASON(error);
	return ERR_GET_LIB(error) == ERR_LIB_SSL &&
	       (reason == SSL_R_NO_SHARED_CIPHER || reason == SSL_R_WRONG_CURVE ||
	           reason == SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS);
}

const char *tls_plain_alert(struct str read)
{
	enum { RECORD = 7, DESCRIPTION = 6 };
	struct str record = str_drop(read, read.len > RECORD ? read.len - RECORD : 0);
	bool is_alert = record.len == RECORD && record.at[0] == SSL3_RT_ALERT &&
	                record.at[1] == SSL3_VERSION_MAJOR && !record.at[3] && record.at[4] == 2 &&
	                record.at[5] == SSL3_AL_FATAL;
	return is_alert ? sentence_of(SSL_AD_REASON_OFFSET + (uint8_t)record.at[DESCRIPTION])
	                : NULL;
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
