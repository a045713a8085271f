// tls_client_certificates.c: what a listener's clients are asked for, and how that is
// judged.  See tls.h.
//
// BoringSSL judges a chain again at a resumption only on the client's side
// (SSL_CTX_set_reverify_on_resume), so that is done here, once the handshake is over: the
// client is told by an alert all the same.
#include "proxy/net/tls_priv.h"

#include <stdlib.h>

#include "proxy/base/die.h"

// Bytes of a client's chain.  It is kept as long as the connection, and goes into tickets.
enum { CLIENT_CHAIN_SIZE_MAX = 16 * 1024 };

// Of why one is refused: a subject can be long.
enum { WHY_MAX = 1024 };

static bool judge(struct tls *tls, enum tls_alert *out_alert)
{
	const struct tls_server *server = tls->server;
	const struct tls_strength *strength = tls->exception ? tls->exception : &server->strength;
	struct str chain[TLS_CHAIN_MAX];
	size_t num;
	char room[WHY_MAX];
	struct text why = TEXT(room);
	*out_alert = TLS_ALERT_bad_certificate;
	if (!tls_peer_chain(tls, chain, &num))
		text_addf(&why, "the client sent more than %d certificates", TLS_CHAIN_MAX);
	else if (server->verify(
	             server->verify_context, chain, num, strength->profile, out_alert, &why))
		return true;
	free(tls->refusal);
	tls->refusal = str_dup(text_str(&why));
	return false;
}

static enum ssl_verify_result_t verify(SSL *ssl, uint8_t *out_alert)
{
	enum tls_alert alert;
	if (judge(tls_of(ssl), &alert))
		return ssl_verify_ok;
	*out_alert = (uint8_t)alert;
	return ssl_verify_invalid;
}

bool tls_resumption_is_good(struct tls *tls)
{
	const struct tls_server *server = tls->server;
	enum tls_alert alert;
	if (!server || !server->verify || !SSL_session_reused(tls->ssl))
		return true;
	bool has_one = sk_CRYPTO_BUFFER_num(SSL_get0_peer_certificates(tls->ssl));
	if (!has_one || judge(tls, &alert))
		return true;
	tls->error = "the resumed session's certificate of the client is refused";
	SSL_send_fatal_alert(tls->ssl, (uint8_t)alert);
	return false;
}

static STACK_OF(CRYPTO_BUFFER) * copy_names(const struct str *names, size_t num)
{
	STACK_OF(CRYPTO_BUFFER) *copies = sk_CRYPTO_BUFFER_new_null();
	BUG_ON(!copies);
	for (size_t i = 0; i < num; i++) {
		CRYPTO_BUFFER *copy =
		    CRYPTO_BUFFER_new((const uint8_t *)names[i].at, names[i].len, NULL);
		BUG_ON(!copy || !sk_CRYPTO_BUFFER_push(copies, copy));
	}
	return copies;
}

static bool ask(const struct tls_server *server, const struct tls_place *place,
    const struct tls_client_certificates *certificates)
{
	SSL_CTX *ctx = place->ctx;
	int mode = SSL_VERIFY_PEER |
	           (certificates->required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE);
	SSL_CTX_set_custom_verify(ctx, mode, verify);
	SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_SIZE_MAX);
	SSL_CTX_set0_client_CAs(
	    ctx, copy_names(certificates->authorities, certificates->num_authorities));
	return tls_strength_of_clients(ctx, &server->strength) &&
	       tls_certificate_install(place->certificate, tls_asked(server), ctx);
}

// A session that began without a certificate does not count where one is required.
static void keep_asked(
    struct tls_server *server, const struct tls_client_certificates *certificates)
{
	BUG_ON(certificates->id.len >= sizeof(server->asked));
	server->asked[0] = certificates->required ? 'r' : 'o';
	memcpy(server->asked + 1, certificates->id.at, certificates->id.len);
	server->asked_len = certificates->id.len + 1;
}

void tls_server_ask_for_certificates(
    struct tls_server *server, const struct tls_client_certificates *certificates)
{
	keep_asked(server, certificates);
	server->verify = certificates->verify;
	server->verify_context = certificates->context;
	for (size_t i = 0; i < server->num_places; i++)
		BUG_ON(!ask(server, &server->places[i], certificates));
}
