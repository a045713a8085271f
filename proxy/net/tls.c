// tls.c: BoringSSL, fed by hand.  See tls.h.
//
// The one file that knows SSL_*.  Contexts use CRYPTO_BUFFERs instead of X509
// objects: certificates are judged in certs/, and a session need not hold a
// parsed one.  SSL_set_shed_handshake_config gives back what only the
// handshake needed.
#include "proxy/net/tls.h"

#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include "proxy/base/die.h"
#include "proxy/net/stream.h"

// BoringSSL calls them either way; what we pass is the list.
static const char curves[] = "X25519:P-256";
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

struct tls_server {
	SSL_CTX *ctx;
	char end_point[TLS_END_POINT_MAX];
	size_t end_point_len;
};

struct tls_client {
	SSL_CTX *ctx;
	tls_verify_fn *verify;
	void *context;
};

struct tls {
	SSL *ssl;
	struct stream *stream;
	const struct tls_client *client; // NULL on the server's side
	const struct tls_server *server; // NULL on the client's side
	const char *name;                // the peer's, on the client's side
	struct str fed;                  // ciphertext not yet read by BoringSSL
	bool fed_end;
	const char *error;
	char *refusal; // heap: why the certificate was refused
};

// ---- the BIO ------------------------------------------------------------

static int bio_read(BIO *bio, char *out, int wanted)
{
	struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (!tls->fed.len) {
		if (tls->fed_end)
			return 0;
		BIO_set_retry_read(bio);
		return -1;
	}
	struct str piece = str_take(tls->fed, (size_t)wanted);
	memcpy(out, piece.at, piece.len);
	tls->fed = str_drop(tls->fed, piece.len);
	return (int)piece.len;
}

static int bio_write(BIO *bio, const char *in, int len)
{
	struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	return stream_write_raw(tls->stream, (struct str){in, (size_t)len}) ? len : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO *new_bio(struct tls *tls)
{
	static BIO_METHOD *method;
	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "popgate stream");
		BUG_ON(!method);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	BIO *bio = BIO_new(method);
	BUG_ON(!bio);
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

// ---- contexts -----------------------------------------------------------

static const char *last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return reason ? reason : "unknown TLS error";
}

static SSL_CTX *new_context(struct text *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_set_strict_cipher_list(ctx, ciphers) && SSL_CTX_set1_curves_list(ctx, curves)) {
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		return ctx;
	}
	SSL_CTX_free(ctx);
	text_add(why, str_of(last_error()));
	return NULL;
}

static int choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
    unsigned in_len, void *context)
{
	static const uint8_t pop3[] = "\4pop3";
	(void)ssl;
	(void)context;
	int found =
	    SSL_select_next_proto((uint8_t **)out, out_len, pop3, sizeof(pop3) - 1, in, in_len);
	return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_up_server(SSL_CTX *ctx, const struct tls_server_options *options)
{
	static const uint8_t session_context[] = "popgate";
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	SSL_CTX_set_num_tickets(ctx, options->session_tickets ? 1 : 0);
	if (!options->session_tickets)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) &&
	       SSL_CTX_set_chain_and_key(
	           ctx, options->chain, options->num_chain, options->key, NULL);
}

struct tls_server *tls_server_new(const struct tls_server_options *options, struct text *why)
{
	SSL_CTX *ctx = new_context(why);
	if (!ctx)
		return NULL;
	if (!set_up_server(ctx, options)) {
		text_add(why, str_of(last_error()));
		SSL_CTX_free(ctx);
		return NULL;
	}
	struct tls_server *server = xcalloc(1, sizeof(*server));
	server->ctx = ctx;
	server->end_point_len = options->end_point.len;
	BUG_ON(options->end_point.len > sizeof(server->end_point));
	if (options->end_point.len)
		memcpy(server->end_point, options->end_point.at, options->end_point.len);
	return server;
}

void tls_server_free(struct tls_server **server)
{
	if (*server)
		SSL_CTX_free((*server)->ctx);
	free(*server);
	*server = NULL;
}

static struct str der_of(const CRYPTO_BUFFER *buffer)
{
	return (struct str){(const char *)CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer)};
}

// Hands the chain to the verifier that the context was made with.
static enum ssl_verify_result_t verify(SSL *ssl, uint8_t *out_alert)
{
	struct tls *tls = SSL_get_app_data(ssl);
	const STACK_OF(CRYPTO_BUFFER) *sent = SSL_get0_peer_certificates(ssl);
	struct str chain[TLS_CHAIN_MAX];
	size_t num = 0;
	char room[512];
	struct text why = TEXT(room);
	for (; num < sk_CRYPTO_BUFFER_num(sent) && num < TLS_CHAIN_MAX; num++)
		chain[num] = der_of(sk_CRYPTO_BUFFER_value(sent, num));
	if (tls->client->verify(tls->client->context, chain, num, tls->name, &why))
		return ssl_verify_ok;
	tls->refusal = str_dup(text_str(&why));
	*out_alert = SSL_AD_BAD_CERTIFICATE;
	return ssl_verify_invalid;
}

static enum ssl_verify_result_t verify_nothing(SSL *ssl, uint8_t *out_alert)
{
	(void)ssl;
	(void)out_alert;
	return ssl_verify_ok;
}

struct tls_client *tls_client_new(tls_verify_fn *verifier, void *context, struct text *why)
{
	SSL_CTX *ctx = new_context(why);
	if (!ctx)
		return NULL;
	SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, verifier ? verify : verify_nothing);
	struct tls_client *client = xcalloc(1, sizeof(*client));
	*client = (struct tls_client){ctx, verifier, context};
	return client;
}

void tls_client_free(struct tls_client **client)
{
	if (*client)
		SSL_CTX_free((*client)->ctx);
	free(*client);
	*client = NULL;
}

// ---- one connection -----------------------------------------------------

static struct tls *new_tls(struct stream *stream, SSL_CTX *ctx)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	tls->stream = stream;
	tls->ssl = SSL_new(ctx);
	BUG_ON(!tls->ssl);
	BIO *bio = new_bio(tls);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_shed_handshake_config(tls->ssl, 1);
	return tls;
}

struct tls *tls_accept(struct stream *stream, const struct tls_server *server)
{
	struct tls *tls = new_tls(stream, server->ctx);
	tls->server = server;
	SSL_set_accept_state(tls->ssl);
	return tls;
}

static bool is_ip(const char *name)
{
	struct addr addr;
	return addr_parse(str_of(name), 1, &addr);
}

struct tls *tls_connect(struct stream *stream, const struct tls_client *client, const char *name)
{
	struct tls *tls = new_tls(stream, client->ctx);
	tls->client = client;
	tls->name = name;
	SSL_set_connect_state(tls->ssl);
	if (!is_ip(name) && !SSL_set_tlsext_host_name(tls->ssl, name))
		tls->error = last_error();
	return tls;
}

void tls_free(struct tls **tls)
{
	if (!*tls)
		return;
	SSL_free((*tls)->ssl);
	free((*tls)->refusal);
	free(*tls);
	*tls = NULL;
}

const char *tls_version(const struct tls *tls)
{
	return SSL_get_version(tls->ssl);
}

const char *tls_cipher(const struct tls *tls)
{
	return SSL_CIPHER_standard_name(SSL_get_current_cipher(tls->ssl));
}

bool tls_was_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl);
}

struct str tls_server_end_point(const struct tls_server *server)
{
	return (struct str){server->end_point, server->end_point_len};
}

struct str tls_end_point(const struct tls *tls)
{
	return tls->server ? tls_server_end_point(tls->server) : STR("");
}

struct str tls_peer_certificate(const struct tls *tls)
{
	const STACK_OF(CRYPTO_BUFFER) *sent = SSL_get0_peer_certificates(tls->ssl);
	return sk_CRYPTO_BUFFER_num(sent) ? der_of(sk_CRYPTO_BUFFER_value(sent, 0)) : STR("");
}

const char *tls_library(void)
{
#define TEXT_OF_VALUE(value) TEXT_OF(value)
#define TEXT_OF(token) #token
	return "BoringSSL, API version " TEXT_OF_VALUE(BORINGSSL_API_VERSION);
#undef TEXT_OF
#undef TEXT_OF_VALUE
}

const char *tls_error(const struct tls *tls)
{
	return tls->refusal ? tls->refusal : tls->error;
}

void tls_feed(struct tls *tls, struct str raw)
{
	tls->fed = raw;
}

void tls_feed_end(struct tls *tls)
{
	tls->fed = (struct str){0};
	tls->fed_end = true;
}

static enum tls_result result_of(struct tls *tls, int returned)
{
	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_NONE: return TLS_OK;
	case SSL_ERROR_WANT_READ: return TLS_WANTS_MORE;
	case SSL_ERROR_ZERO_RETURN: return TLS_ENDED;
	case SSL_ERROR_SYSCALL:
		tls->error = tls->fed_end ? "the peer went away" : "the connection broke";
		return tls->fed_end ? TLS_ENDED : TLS_FAILED;
	default: tls->error = last_error(); return TLS_FAILED;
	}
}

enum tls_result tls_handshake(struct tls *tls)
{
	if (tls->error)
		return TLS_FAILED;
	ERR_clear_error();
	enum tls_result result = result_of(tls, SSL_do_handshake(tls->ssl));
	return result == TLS_ENDED ? TLS_FAILED : result;
}

enum tls_result tls_read(
    struct tls *tls, char *room, size_t size, size_t *out_len, bool *out_truncated)
{
	enum tls_result result = TLS_OK;
	*out_len = 0;
	ERR_clear_error();
	while (result == TLS_OK && *out_len < size) {
		int n = SSL_read(tls->ssl, room + *out_len, (int)(size - *out_len));
		result = result_of(tls, n);
		if (n > 0)
			*out_len += (size_t)n;
	}
	*out_truncated =
	    result == TLS_ENDED && !(SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN);
	return result;
}

enum tls_result tls_write(struct tls *tls, struct str bytes)
{
	ERR_clear_error();
	int n = SSL_write(tls->ssl, bytes.at, (int)bytes.len);
	return n == (int)bytes.len ? TLS_OK : result_of(tls, n) == TLS_OK ? TLS_OK : TLS_FAILED;
}

void tls_finish(struct tls *tls)
{
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
}
