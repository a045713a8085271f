// tls_priv.h: what the files of the TLS layer share, and nobody else sees.
//
// tls.c is one connection, tls_server.c what a listener serves, tls_client.c what
// stores are asked for, tls_context.c what both kinds of context have in common.
#ifndef POPGATE_PROXY_NET_TLS_PRIV_H
#define POPGATE_PROXY_NET_TLS_PRIV_H

#include <openssl/pool.h>
#include <openssl/ssl.h>

#include "proxy/net/tls.h"

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

// Why BoringSSL refused something, as a static string; its queue is empty then.
const char *tls_last_error(void);

// A context with our versions, suites and groups; NULL with the reason in *why.
SSL_CTX *tls_context_new(struct text *why);

// A connection of that context over the stream.
struct tls *tls_new(struct stream *stream, SSL_CTX *ctx);

static inline struct str tls_der(const CRYPTO_BUFFER *buffer)
{
	return (struct str){(const char *)CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer)};
}

#endif
