// tls_priv.h: what the files of the TLS layer share, and nobody else sees.
//
// tls.c is one connection, tls_certificate.c a certificate to serve, tls_server.c what
// a listener serves, tls_choice.c which certificate that is for a client,
// tls_client_certificates.c what clients are asked for, tls_tickets.c how sessions are
// resumed, tls_signer.c how somebody else signs, tls_client.c what stores are asked for,
// tls_context.c what both kinds of context have in common, tls_strength.c how strong it
// is.
#ifndef POPGATE_PROXY_NET_TLS_PRIV_H
#define POPGATE_PROXY_NET_TLS_PRIV_H

#include <openssl/pool.h>
#include <openssl/ssl.h>

#include "proxy/base/buf.h"
#include "proxy/net/tls.h"
#include "proxy/net/tls_hello.h"

struct tls_certificate {
	unsigned owners;      // when there are none, all but the end point is given up
	unsigned connections; // that were served it
	uint32_t number;      // the owner's for it
	CRYPTO_BUFFER *chain[TLS_CHAIN_MAX];
	size_t num_chain;
	EVP_PKEY *key;         // the public one, where there is a signer
	struct signer *signer; // NULL: none
	uint32_t slot;
	struct str *names; // small letters
	size_t num_names;
	struct str staple;
	struct str end_point;
};

struct tls_place {
	SSL_CTX *ctx; // of its own: BoringSSL copies it into a connection cheaply
	struct tls_certificate *certificate;
};

// Connections begin with the first place's context, which therefore seals and opens
// all tickets.
struct tls_server {
	struct tls_place *places;
	size_t num_places;
	bool refuse_unknown_names;
	const struct tickets *tickets; // NULL: BoringSSL makes keys of its own
	tls_verify_client_fn *verify;  // NULL: no client is asked for a certificate
	const void *verify_context;
	struct tls_strength strength;
	char asked[1 + TLS_ASKED_MAX]; // whether one is required, and what it is judged by
	size_t asked_len;
};

struct tls_client {
	SSL_CTX *ctx;
	tls_verify_fn *verify;
	void *context;
};

struct tls {
	SSL *ssl; // NULL until the client has said hello
	struct stream *stream;
	const struct tls_client *client;     // NULL on the server's side
	const struct tls_server *server;     // NULL on the client's side
	struct tls_strength *exception;      // heap; NULL: as strong as the server is
	struct tls_certificate *certificate; // that is served; NULL on the client's side
	const char *name;                    // the peer's, on the client's side
	struct str fed;                      // ciphertext not yet read by BoringSSL
	struct tls_hello hello;
	int num_hellos;    // that BoringSSL has read, on the server's side
	struct buf flight; // what came of the hello, where it did not come at once
	bool fed_end;
	struct question *question;    // that a signer has; NULL mostly
	const struct signing *answer; // to it, while the handshake goes on
	bool has_name;                // the certificate that is served, which the client asked for
	const char *error;
	char *refusal; // heap: why the peer's certificate, or the client's name, was refused
	bool is_name_refused;
	const char *key_advice; // tls_advise_key's, for when the handshake fails by that
};

// Why BoringSSL refused something, as a static string; its queue is empty then.
const char *tls_last_error(void);

// The same of a handshake with a client, as a sentence where there is one for it.
const char *tls_last_error_of_client(void);

// Whether that reason, which is still queued, is that the client found nothing it could
// do with our certificate's key.
bool tls_failed_by_key(void);

// What a client says with an alert that is not encrypted, when the bytes read last are one
// and there is a sentence for it; else NULL.  With TLS 1.3 OpenSSL's client says so that
// it refuses a certificate, and BoringSSL tries to decrypt it.
const char *tls_plain_alert(struct str read);

// A context with versions and suites of this strength, and our groups; NULL with the
// reason in *why.
SSL_CTX *tls_context_new(const struct tls_strength *strength, struct text *why);

// tls_strength.c: where nobody has asked for another.
extern const struct tls_strength tls_usual_strength;

// tls_strength.c: whether SHA-1 signs there, up to TLS 1.2.
bool tls_strength_has_sha1(const struct tls_strength *strength);

// tls_strength.c: sets versions, suites and what signs; false with BoringSSL's reason queued.
bool tls_strength_of_context(SSL_CTX *ctx, const struct tls_strength *strength);
bool tls_strength_of_connection(SSL *ssl, const struct tls_strength *strength);

// tls_strength.c: sets what clients may sign with who show a certificate; false out of memory.
// Stores are offered SHA-1 still: some choose their chain by that, and have no other.
bool tls_strength_of_clients(SSL_CTX *ctx, const struct tls_strength *strength);

// A connection over the stream, of no context yet.
struct tls *tls_new(struct stream *stream);

// Whose it is; known by its BIO, since application data would cost two allocations.
struct tls *tls_of(const SSL *ssl);

// Gives it what a handshake needs.
void tls_begin(struct tls *tls, SSL_CTX *ctx);

// How strong this one has to be; on the server's side.
static inline const struct tls_strength *tls_strength_of(const struct tls *tls)
{
	return tls->exception ? tls->exception : &tls->server->strength;
}

// As server, for a client whose hello is there.
void tls_begin_server(struct tls *tls);

// The chain that the peer has shown, leaf first; false when it is longer than that.
__attribute__((warn_unused_result)) bool tls_peer_chain(
    const struct tls *tls, struct str chain[TLS_CHAIN_MAX], size_t *out_num);

// tls_client_certificates.c: judges the chain of a client whose session was resumed; on
// the client's side, and where none is asked for, there is nothing to judge.
__attribute__((warn_unused_result)) bool tls_resumption_is_good(struct tls *tls);

// Makes it what the context serves.  `asked`: the server's.  False when BoringSSL
// refuses.
bool tls_certificate_install(
    const struct tls_certificate *certificate, struct str asked, SSL_CTX *ctx);

static inline struct str tls_asked(const struct tls_server *server)
{
	return (struct str){server->asked, server->asked_len};
}

// How to sign for a certificate that has a signer.
extern const SSL_PRIVATE_KEY_METHOD tls_signer_method;

// Forgets the question that is under way.
void tls_signer_cancel(struct tls *tls);

// Counts one more owner.
struct tls_certificate *tls_certificate_own(struct tls_certificate *certificate);

// Has a connection serve it, with its staple; the context is put under it before.  It
// is the connection's until detached.  False when BoringSSL refuses.
bool tls_certificate_attach(struct tls *tls, struct tls_certificate *certificate);
void tls_certificate_detach(struct tls *tls);

// The place for the client that said this hello.  Whether the name that it asked for
// is known stands in *out_known.
const struct tls_place *tls_choose(
    const struct tls_server *server, const SSL_CLIENT_HELLO *hello, bool *out_known);

// What to do about a client that cannot use the certificate's key, but one of another
// kind; NULL when it can, or when none would help.
const char *tls_advise_key(
    const SSL_CLIENT_HELLO *hello, const struct tls_certificate *certificate);

static inline struct str tls_der(const CRYPTO_BUFFER *buffer)
{
	return (struct str){(const char *)CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer)};
}

#endif
