// tls.c: BoringSSL, fed by hand.  See tls.h.
//
// The files tls*.c are the only ones that know SSL_*.
// SSL_set_shed_handshake_config gives back what only the handshake needed.  Each call
// that SSL_get_error judges clears BoringSSL's queue of errors by itself.
#include "proxy/net/tls_priv.h"

#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>

#include "proxy/base/die.h"
#include "proxy/net/stream.h"

// ---- the hellos ---------------------------------------------------------

// As BoringSSL says it of a message that is too large.
static void refuse_hello(struct tls *tls)
{
	static const char alert[] = {21, 3, 3, 0, 2, 2, SSL_AD_ILLEGAL_PARAMETER};
	stream_write_raw(tls->stream, (struct str){alert, sizeof(alert)});
	tls->error = "the ClientHello is larger than 8 KiB";
}

// Whether what BoringSSL reads is no part of a hello that is too large: of the first, since
// it may begin without that where something else came before, or of the second, which is
// due after a HelloRetryRequest.
static bool is_hello_good(struct tls *tls, struct str piece)
{
	if (!tls->server || tls->num_hellos > SSL_used_hello_retry_request(tls->ssl))
		return true;
	enum tls_hello_result result = tls_hello_take(&tls->hello, piece);
	if (result == TLS_HELLO_WHOLE) {
		tls->num_hellos++;
		tls->hello = (struct tls_hello){.passes_others = true};
	}
	if (result == TLS_HELLO_TOO_LARGE)
		refuse_hello(tls);
	return result != TLS_HELLO_TOO_LARGE;
}

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
	if (!is_hello_good(tls, piece))
		return -1;
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

struct tls *tls_of(const SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
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

// ---- one connection -----------------------------------------------------

struct tls *tls_new(struct stream *stream)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	tls->stream = stream;
	return tls;
}

void tls_begin(struct tls *tls, SSL_CTX *ctx)
{
	tls->ssl = SSL_new(ctx);
	BUG_ON(!tls->ssl);
	BIO *bio = new_bio(tls);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_shed_handshake_config(tls->ssl, 1);
}

void tls_free(struct tls **tls)
{
	if (!*tls)
		return;
	tls_signer_cancel(*tls);
	SSL_free((*tls)->ssl);
	tls_certificate_detach(*tls);
	buf_done(&(*tls)->flight);
	free((*tls)->exception);
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

const char *tls_group(const struct tls *tls)
{
	return SSL_get_curve_name(SSL_get_curve_id(tls->ssl));
}

bool tls_was_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl);
}

struct str tls_end_point(const struct tls *tls)
{
	return tls->certificate ? tls_certificate_end_point(tls->certificate) : STR("");
}

struct str tls_server_name(const struct tls *tls)
{
	if (!tls->certificate)
		return STR("");
	return str_of(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name));
}

// Without a suite that both sides have, the handshake has not come so far.
bool tls_has_served(const struct tls *tls, uint32_t *out_number)
{
	if (!tls->certificate || tls->is_name_refused ||
	    !(SSL_get_current_cipher(tls->ssl) || SSL_get_pending_cipher(tls->ssl)))
		return false;
	*out_number = tls->certificate->number;
	return true;
}

bool tls_refused_name(const struct tls *tls)
{
	return tls->is_name_refused;
}

struct str tls_peer_certificate(const struct tls *tls)
{
	const STACK_OF(CRYPTO_BUFFER) *sent = SSL_get0_peer_certificates(tls->ssl);
	return sk_CRYPTO_BUFFER_num(sent) ? tls_der(sk_CRYPTO_BUFFER_value(sent, 0)) : STR("");
}

bool tls_peer_chain(const struct tls *tls, struct str chain[TLS_CHAIN_MAX], size_t *out_num)
{
	const STACK_OF(CRYPTO_BUFFER) *shown = SSL_get0_peer_certificates(tls->ssl);
	size_t num = sk_CRYPTO_BUFFER_num(shown);
	*out_num = num < TLS_CHAIN_MAX ? num : TLS_CHAIN_MAX;
	for (size_t i = 0; i < *out_num; i++)
		chain[i] = tls_der(sk_CRYPTO_BUFFER_value(shown, i));
	return num == *out_num;
}

const char *tls_error(const struct tls *tls)
{
	const char *error = tls->refusal ? tls->refusal : tls->error;
	return error ? error : "TLS failed";
}

void tls_feed(struct tls *tls, struct str raw)
{
	if (tls->ssl)
		buf_done(&tls->flight);
	tls->fed = raw;
}

struct str tls_unread(const struct tls *tls)
{
	return tls->fed;
}

void tls_feed_end(struct tls *tls)
{
	tls->fed = (struct str){0};
	tls->fed_end = true;
}

// Who has found the reason before BoringSSL knows it best.
static void note_error(struct tls *tls, const char *error)
{
	if (!tls->error)
		tls->error = error;
}

static const char *worded_error(const struct tls *tls)
{
	bool by_key = tls->key_advice && tls_failed_by_key();
	const char *error = tls->server ? tls_last_error_of_client() : tls_last_error();
	return by_key ? tls->key_advice : error;
}

// Debian's BoringSSL has a word for whatever it refuses, until it has chosen a suite, but
// for the server name.
static bool is_name_malformed(const struct tls *tls)
{
	return tls->server && !tls->fed_end && !stream_error(tls->stream) &&
	       SSL_in_init(tls->ssl) && !SSL_get_pending_cipher(tls->ssl);
}

static const char *wordless_error(const struct tls *tls)
{
	if (is_name_malformed(tls))
		return "the server name (SNI) in the client's first message is malformed";
	return tls->fed_end ? "the peer went away" : "the connection broke";
}

static enum tls_result result_of(struct tls *tls, int returned)
{
	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_NONE: return TLS_OK;
	case SSL_ERROR_WANT_READ: return TLS_WANTS_MORE;
	case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION: return TLS_WAITS;
	case SSL_ERROR_ZERO_RETURN: return TLS_ENDED;
	case SSL_ERROR_SYSCALL:
		note_error(tls, wordless_error(tls));
		return tls->fed_end ? TLS_ENDED : TLS_FAILED;
	default: note_error(tls, worded_error(tls)); return TLS_FAILED;
	}
}

// Keeps what there is of a hello, which is less than TLS_HELLO_MAX; most come whole,
// and are read from where they are.
static enum tls_result keep_flight(struct tls *tls)
{
	if (!buf_add(&tls->flight, tls->fed, SIZE_MAX))
		tls->error = "out of memory for input";
	tls->fed = (struct str){0};
	return tls->error ? TLS_FAILED : TLS_WANTS_MORE;
}

static enum tls_result take_hello(struct tls *tls)
{
	enum tls_hello_result result = tls_hello_take(&tls->hello, tls->fed);
	if (result == TLS_HELLO_TOO_LARGE)
		refuse_hello(tls);
	else if (result == TLS_HELLO_PARTIAL && tls->fed_end)
		tls->error = "the peer went away";
	if (tls->error)
		return TLS_FAILED;
	if (result == TLS_HELLO_PARTIAL || buf_len(&tls->flight)) {
		enum tls_result kept = keep_flight(tls);
		if (kept == TLS_FAILED || result == TLS_HELLO_PARTIAL)
			return kept;
		tls->fed = buf_str(&tls->flight);
	}
	tls->hello = (struct tls_hello){.passes_others = true};
	tls_begin_server(tls);
	return tls->error ? TLS_FAILED : TLS_OK;
}

// What a client says of it is better than what comes of reading that.
static void prefer_alert(struct tls *tls, struct str read)
{
	const char *alert = tls->server ? tls_plain_alert(read) : NULL;
	if (alert)
		tls->error = alert;
}

bool tls_has_hello(const struct tls *tls)
{
	return tls->ssl;
}

enum tls_result tls_handshake(struct tls *tls)
{
	if (tls->error)
		return TLS_FAILED;
	if (!tls->ssl) {
		enum tls_result hello = take_hello(tls);
		if (hello != TLS_OK)
			return hello;
	}
	struct str fed = tls->fed;
	enum tls_result result = result_of(tls, SSL_do_handshake(tls->ssl));
	if (result == TLS_FAILED)
		prefer_alert(tls, str_take(fed, fed.len - tls->fed.len));
	if (result == TLS_OK && !tls_resumption_is_good(tls))
		return TLS_FAILED;
	if (result != TLS_ENDED)
		return result;
	note_error(tls, "the peer gave up the handshake"); // by close_notify
	return TLS_FAILED;
}

// Where there is nothing more, BoringSSL need not be asked again to say so.
static bool has_more(const struct tls *tls)
{
	return tls->fed.len || tls->fed_end || SSL_has_pending(tls->ssl);
}

enum tls_result tls_read(
    struct tls *tls, char *room, size_t size, size_t *out_len, bool *out_truncated)
{
	enum tls_result result;
	*out_len = 0;
	do {
		int n = SSL_read(tls->ssl, room + *out_len, (int)(size - *out_len));
		result = result_of(tls, n);
		if (n > 0)
			*out_len += (size_t)n;
	} while (result == TLS_OK && *out_len < size && has_more(tls));
	*out_truncated =
	    result == TLS_ENDED && !(SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN);
	return result;
}

enum tls_result tls_write(struct tls *tls, struct str bytes)
{
	int n = SSL_write(tls->ssl, bytes.at, (int)bytes.len);
	return n == (int)bytes.len ? TLS_OK : result_of(tls, n) == TLS_OK ? TLS_OK : TLS_FAILED;
}

void tls_finish(struct tls *tls)
{
	SSL_shutdown(tls->ssl);
}
