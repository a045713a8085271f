// tls_client.c: TLS towards stores.  See tls.h.
#include "proxy/net/tls_priv.h"

#include <stdlib.h>

#include "proxy/base/addr.h"
#include "proxy/base/die.h"

// Hands the chain to the verifier that the context was made with.
static enum ssl_verify_result_t verify(SSL *ssl, uint8_t *out_alert)
{
	struct tls *tls = tls_of(ssl);
	struct str chain[TLS_CHAIN_MAX];
	size_t num;
	char room[512];
	struct text why = TEXT(room);
	if (!tls_peer_chain(tls, chain, &num))
		text_addf(&why, "the server sent more than %d certificates", TLS_CHAIN_MAX);
	else if (tls->client->verify(tls->client->context, chain, num, tls->name, &why))
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
	SSL_CTX *ctx = tls_context_new(&tls_usual_strength, why);
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

static bool is_ip(const char *name)
{
	struct addr addr;
	return addr_parse(str_of(name), 1, &addr);
}

struct tls *tls_connect(struct stream *stream, const struct tls_client *client, const char *name)
{
	struct tls *tls = tls_new(stream);
	tls_begin(tls, client->ctx);
	tls->client = client;
	tls->name = name;
	SSL_set_connect_state(tls->ssl);
	if (!is_ip(name) && !SSL_set_tlsext_host_name(tls->ssl, name))
		tls->error = tls_last_error();
	return tls;
}
