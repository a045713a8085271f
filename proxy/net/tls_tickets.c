// tls_tickets.c: seals and opens session tickets with the keys that all processes
// share (tickets.h).
//
//     name 16 | nonce 12 | session, sealed | tag 16
//
// AES-256-GCM-SIV, because nonces are random and a key from a file may seal for
// years: one nonce met twice would tell whether two tickets are equal, and no more.
//
// A ticket that does not open is as good as none: a full handshake follows, and
// nobody learns why.
//
// Not taken: SSL_CTX_set_tlsext_ticket_key_cb.  It can have a ticket of TLS 1.2
// sealed anew by a newer key, but the session in it ends no later for that (in TLS
// 1.3 each handshake brings a new one anyway); and it puts cipher and MAC together
// by hand.
#include "proxy/net/tls_priv.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "proxy/base/die.h"
#include "proxy/net/net.h"
#include "proxy/net/stream.h"
#include "proxy/net/tickets.h"

enum {
	NONCE = 12,
	TAG = 16,
	HEAD = TICKET_NAME_SIZE + NONCE,
	SESSION_MAX = TLS_HELLO_MAX / 2, // the client's certificates may be in it
};

static const struct tickets *tickets_of(const SSL *ssl)
{
	const struct tls *tls = tls_of(ssl);
	return tls->server->tickets;
}

// Wipes the key; the cipher holds another form of it until `end`.
static void begin(EVP_AEAD_CTX *cipher, struct ticket_key *key)
{
	BUG_ON(!EVP_AEAD_CTX_init(
	    cipher, EVP_aead_aes_256_gcm_siv(), key->secret, sizeof(key->secret), TAG, NULL));
	explicit_bzero(key, sizeof(*key));
}

static void end(EVP_AEAD_CTX *cipher)
{
	EVP_AEAD_CTX_cleanup(cipher);
	explicit_bzero(cipher, sizeof(*cipher));
}

static size_t max_overhead(SSL *ssl)
{
	(void)ssl;
	return HEAD + TAG;
}

// A ticket that opens nothing, for a session whose own would make the client's next
// hello too large to be taken.
static int seal_nothing(uint8_t *out, size_t *out_len)
{
	memset(out, 0, TICKET_NAME_SIZE);
	*out_len = TICKET_NAME_SIZE;
	return 1;
}

// `in` may be where `out` is.
static int seal(
    SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out_len, const uint8_t *in, size_t in_len)
{
	struct ticket_key key;
	EVP_AEAD_CTX cipher;
	BUG_ON(max_out_len < HEAD + in_len + TAG);
	if (in_len > SESSION_MAX)
		return seal_nothing(out, out_len);
	memmove(out + HEAD, in, in_len);
	tickets_current(tickets_of(ssl), &key);
	memcpy(out, key.name, TICKET_NAME_SIZE);
	RAND_bytes(out + TICKET_NAME_SIZE, NONCE);
	begin(&cipher, &key);
	int sealed = EVP_AEAD_CTX_seal(&cipher, out + HEAD, out_len, max_out_len - HEAD,
	    out + TICKET_NAME_SIZE, NONCE, out + HEAD, in_len, out, TICKET_NAME_SIZE);
	end(&cipher);
	*out_len += HEAD;
	return sealed;
}

static enum ssl_ticket_aead_result_t open_ticket(
    SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out_len, const uint8_t *in, size_t in_len)
{
	const struct tls *tls = tls_of(ssl);
	struct ticket_key key;
	EVP_AEAD_CTX cipher;
	uint64_t now = net_now(tls->stream->net);
	if (in_len < HEAD || !tickets_find(tickets_of(ssl), in, now, &key))
		return ssl_ticket_aead_ignore_ticket;
	begin(&cipher, &key);
	int opened = EVP_AEAD_CTX_open(&cipher, out, out_len, max_out_len, in + TICKET_NAME_SIZE,
	    NONCE, in + HEAD, in_len - HEAD, in, TICKET_NAME_SIZE);
	end(&cipher);
	if (!opened)
		ERR_clear_error(); // it is no error of the connection
	return opened ? ssl_ticket_aead_success : ssl_ticket_aead_ignore_ticket;
}

static const SSL_TICKET_AEAD_METHOD method = {max_overhead, seal, open_ticket};

// The first context of a server is that of all its tickets (tls_priv.h).
void tls_server_share_tickets(
    struct tls_server *server, const struct tickets *tickets, uint32_t lifetime_s)
{
	SSL_CTX *ctx = server->places->ctx;
	server->tickets = tickets;
	SSL_CTX_set_ticket_aead_method(ctx, &method);
	SSL_CTX_set_timeout(ctx, lifetime_s);
	SSL_CTX_set_session_psk_dhe_timeout(ctx, lifetime_s);
}
