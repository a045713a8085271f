// tls_server.c: what a listener serves.  See tls.h.
#include "proxy/net/tls_priv.h"

#include <stdlib.h>

#include "proxy/base/die.h"

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
	SSL_CTX *ctx = tls_context_new(why);
	if (!ctx)
		return NULL;
	if (!set_up_server(ctx, options)) {
		text_add(why, str_of(tls_last_error()));
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

struct str tls_server_end_point(const struct tls_server *server)
{
	return (struct str){server->end_point, server->end_point_len};
}

struct tls *tls_accept(struct stream *stream, const struct tls_server *server)
{
	struct tls *tls = tls_new(stream, server->ctx);
	tls->server = server;
	SSL_set_accept_state(tls->ssl);
	return tls;
}
