// tls_server.c: what a listener serves.  See tls.h.
//
// Each certificate has a context of its own, and BoringSSL puts another one under a
// connection for the price of a few references.  The road not taken: one context, and
// the pair set anew in each connection, which has BoringSSL look at chain and key again.
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

static void refuse_name(struct tls *tls, struct str name)
{
	char room[TLSEXT_MAXLEN_host_name + 64];
	struct text why = TEXT(room);
	text_addf(&why, "no certificate has the name \"%.*s\"", STR_ARG(name));
	tls->refusal = str_dup(text_str(&why));
	tls->is_name_refused = true;
}

// The first that BoringSSL asks, once it has read the hello.
static enum ssl_select_cert_result_t choose_certificate(const SSL_CLIENT_HELLO *hello)
{
	struct tls *tls = tls_of(hello->ssl);
	const struct tls_server *server = tls->server;
	bool is_known;
	const struct tls_place *place = tls_choose(server, hello, &is_known);
	struct str name = tls_server_name(tls);
	tls->has_name = name.len && is_known;
	tls->key_advice = tls_advise_key(hello, place->certificate);
	if (name.len && !is_known && server->refuse_unknown_names)
		refuse_name(tls, name);
	// The other context brings its own signatures.
	bool set = SSL_set_SSL_CTX(hello->ssl, place->ctx) &&
	           tls_certificate_attach(tls, place->certificate) &&
	           (!tls->exception || tls_strength_of_connection(hello->ssl, tls->exception));
	return set ? ssl_select_cert_success : ssl_select_cert_error;
}

// One certificate for all.
static enum ssl_select_cert_result_t look_at_hello(const SSL_CLIENT_HELLO *hello)
{
	struct tls *tls = tls_of(hello->ssl);
	tls->key_advice = tls_advise_key(hello, tls->certificate);
	return ssl_select_cert_success;
}

// The one place where BoringSSL lets the alert be chosen.
static int acknowledge_name(SSL *ssl, int *out_alert, void *context)
{
	struct tls *tls = tls_of(ssl);
	(void)context;
	*out_alert = SSL_AD_UNRECOGNIZED_NAME;
	if (tls->is_name_refused)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return tls->has_name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static bool has_choice(const struct tls_server_options *options)
{
	return options->num_certificates > 1 || options->refuse_unknown_names;
}

static void set_up(SSL_CTX *ctx, const struct tls_server_options *options)
{
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	SSL_CTX_set_num_tickets(ctx, options->session_tickets ? 1 : 0);
	if (!options->session_tickets)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_select_certificate_cb(
	    ctx, has_choice(options) ? choose_certificate : look_at_hello);
	if (has_choice(options))
		SSL_CTX_set_tlsext_servername_callback(ctx, acknowledge_name);
}

static bool add_place(struct tls_server *server, const struct tls_server_options *options,
    struct tls_certificate *certificate, struct text *why)
{
	SSL_CTX *ctx = tls_context_new(&options->strength, why);
	if (!ctx)
		return false;
	server->places[server->num_places++] =
	    (struct tls_place){ctx, tls_certificate_own(certificate)};
	set_up(ctx, options);
	if (tls_certificate_install(certificate, tls_asked(server), ctx))
		return true;
	text_add(why, str_of(tls_last_error()));
	return false;
}

struct tls_server *tls_server_new(const struct tls_server_options *options, struct text *why)
{
	struct tls_server *server = xcalloc(1, sizeof(*server));
	BUG_ON(!options->num_certificates);
	server->refuse_unknown_names = options->refuse_unknown_names;
	server->strength = options->strength;
	server->places = xcalloc(options->num_certificates, sizeof(*server->places));
	for (size_t i = 0; server && i < options->num_certificates; i++)
		if (!add_place(server, options, options->certificates[i], why))
			tls_server_free(&server);
	return server;
}

void tls_server_free(struct tls_server **server)
{
	struct tls_server *old = *server;
	if (!old)
		return;
	for (size_t i = 0; i < old->num_places; i++) {
		SSL_CTX_free(old->places[i].ctx);
		tls_certificate_free(&old->places[i].certificate);
	}
	free(old->places);
	free(old);
	*server = NULL;
}

void tls_server_replace(
    struct tls_server *server, size_t index, struct tls_certificate *certificate)
{
	struct tls_place *place = &server->places[index];
	BUG_ON(!tls_certificate_install(certificate, tls_asked(server), place->ctx));
	tls_certificate_own(certificate);
	tls_certificate_free(&place->certificate);
	place->certificate = certificate;
}

struct tls *tls_accept(
    struct stream *stream, const struct tls_server *server, const struct tls_strength *exception)
{
	struct tls *tls = tls_new(stream);
	tls->server = server;
	if (!exception)
		return tls;
	tls->exception = xcalloc(1, sizeof(*tls->exception));
	*tls->exception = *exception;
	return tls;
}

void tls_begin_server(struct tls *tls)
{
	const struct tls_place *first = tls->server->places;
	tls_begin(tls, first->ctx);
	BUG_ON(!tls_certificate_attach(tls, first->certificate));
	SSL_set_accept_state(tls->ssl);
	if (tls->exception && !tls_strength_of_connection(tls->ssl, tls->exception))
		tls->error = tls_last_error();
}
