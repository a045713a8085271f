// tls.h: the TLS record layer between a stream and BoringSSL.
//
// The upper parts are for those who make contexts (certs/, the snapshot) and look at
// a finished handshake (the session); the lower part is what stream.c calls.
//
// BoringSSL never touches the socket: it reads the bytes that libuv has just
// read from where they are, and writes straight to the stream, which passes
// them to the kernel.  A record is copied nowhere on its way out, and an idle
// connection holds no buffer.
//
// TLS 1.2 with AEAD suites and TLS 1.3, unless a listener is told otherwise (struct
// tls_strength); X25519 and P-256, before them X25519MLKEM768 where BoringSSL has it;
// the server's order of suites in TLS 1.2 and of groups in both;
// no compression, no renegotiation, no early data (a replayed login is a
// login), ALPN "pop3" enforced when a client sends ALPN at all (RFC 7301
// section 3.2: no_application_protocol).
#ifndef POPGATE_PROXY_NET_TLS_H
#define POPGATE_PROXY_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/text.h"

struct crypto_buffer_st;
struct evp_pkey_st;
struct signer;
struct stream;
struct tls;
struct tls_certificate;
struct tls_server;
struct tls_client;
struct tickets;

// Certificates in a chain, of ours or a peer's.
enum { TLS_CHAIN_MAX = 16 };

// Bytes of the longest hash.
enum { TLS_END_POINT_MAX = 64 };

// Bytes of what tells one way of judging clients' certificates from another.
enum { TLS_ASKED_MAX = 32 };

// ---- certificates as they are served ------------------------------------

struct tls_certificate_options {
	struct crypto_buffer_st *const *chain; // leaf first; references are taken
	size_t num_chain;
	// The private key; or, when there is a signer, the public one.  A reference is taken.
	struct evp_pkey_st *key;
	struct signer *signer;   // who signs by the private key instead; NULL: nobody
	uint32_t slot;           // which key that is to the signer
	struct str end_point;    // for tls_end_point; copied
	const struct str *names; // the leaf's DNS names, some with "*." before them; copied
	size_t num_names;
	struct str staple; // an OCSP response (DER); "" for none; copied
};

// Whether a server with such a key can sign what any client accepts: with the curve or the
// size, and an algorithm that we offer.
__attribute__((warn_unused_result)) bool tls_can_sign_with(const struct evp_pkey_st *key);

// NULL with the reason in *why when BoringSSL refuses the pair.  It is counted: the
// caller has it until tls_certificate_free, servers and connections as long as they
// need it.  When the last of its owners has given it up, chain and key go; only the
// end point stays, for the connections that were served it.
struct tls_certificate *tls_certificate_new(
    const struct tls_certificate_options *options, struct text *why);

// Gives up the caller's; sets the pointer to NULL, and NULL is allowed.
void tls_certificate_free(struct tls_certificate **certificate);

// What it was made with, as long as it has an owner; all of it stays the certificate's.
struct tls_certificate_options tls_certificate_contents(const struct tls_certificate *certificate);
struct str tls_certificate_leaf(const struct tls_certificate *certificate); // DER
// The one behind it in the chain; "" when there is none.
struct str tls_certificate_issuer(const struct tls_certificate *certificate);
struct str tls_certificate_end_point(const struct tls_certificate *certificate);

// A number of the owner's for it, 0 at first.
void tls_certificate_set_number(struct tls_certificate *certificate, uint32_t number);

// Another OCSP response, for handshakes that begin from now on; "" for none; copied.
void tls_certificate_set_staple(struct tls_certificate *certificate, struct str staple);

// Whether two show clients the same chain; then they have the same key.
bool tls_certificate_has_chain_of(
    const struct tls_certificate *certificate, const struct tls_certificate *other);

// ---- servers ------------------------------------------------------------

// What TLS must be at least.  Profiles bear the names that administrators know from
// Mozilla's recommendations: modern is TLS 1.3, intermediate has TLS 1.2 with AEAD
// suites beside it, legacy also what was usual before (tls_suites.def).
enum tls_profile { TLS_PROFILE_modern, TLS_PROFILE_intermediate, TLS_PROFILE_legacy };

struct tls_strength {
	enum tls_profile profile;
	uint16_t min_version; // as it is on the wire; 0, or less than the profile's: that
	// Of the cipher.  Above 128 there is no TLS 1.3, whose suites cannot be chosen and
	// may be of 128.
	unsigned min_bits;
	// No key exchange by RSA, of which there is some in legacy: it needs a key that
	// decrypts, and one that only signs is to be had (struct signer).
	bool forward_secrecy;
};

struct tls_server_options {
	// The first is for clients that ask for no name, and for one that no certificate
	// has.  At least one.
	struct tls_certificate *const *certificates;
	size_t num_certificates;
	bool refuse_unknown_names; // by the alert unrecognized_name (RFC 6066 section 3)
	bool session_tickets;
	struct tls_strength strength;
};

// NULL with the reason in *why when BoringSSL refuses.  It counts the certificates.
//
// Of several certificates a client is served the one for the name that it asks for
// (tls_choice.c); a ticket resumes only where that is the very certificate that the
// client was shown when it got the ticket.
struct tls_server *tls_server_new(const struct tls_server_options *options, struct text *why);
void tls_server_free(struct tls_server **server);

// Puts a certificate in the place of another.  Connections that have begun go on
// with what they had.
void tls_server_replace(
    struct tls_server *server, size_t index, struct tls_certificate *certificate);

// Has tickets sealed and opened with these keys, to live so long from each handshake
// (in TLS 1.2 from the first).  `tickets` must outlive the connections.
void tls_server_share_tickets(
    struct tls_server *server, const struct tickets *tickets, uint32_t lifetime_s);

// ---- what servers ask clients for ---------------------------------------

// What a client is told of a certificate that is refused (RFC 8446 section 6.2).
enum tls_alert {
	TLS_ALERT_bad_certificate = 42,
	TLS_ALERT_certificate_revoked = 44,
	TLS_ALERT_certificate_expired = 45,
	TLS_ALERT_unknown_ca = 48,
};

// Judges a client's certificate chain (leaf first, DER; never empty) by the profile that
// the connection has.  False with the reason in *why, for the log, refuses it.
typedef bool tls_verify_client_fn(const void *context, const struct str *chain, size_t num_chain,
    enum tls_profile profile, enum tls_alert *out_alert, struct text *why);

// What a server asks clients for.
struct tls_client_certificates {
	bool required; // else a client may have none; a refused one ends the handshake in any case
	tls_verify_client_fn *verify;
	const void *context; // of verify; borrowed until the next call, or the server's end
	const struct str *authorities; // whose certificates will do: their names (DER); copied
	size_t num_authorities;
	struct str id; // of everything that a certificate is judged by; TLS_ASKED_MAX bytes at most
};

// Lets the server ask its clients for certificates from the next handshake on; may be
// called again, with other authorities, while it serves.  Sessions that were begun under
// another `id`, or while `required` was another, are not resumed, and the chain of one
// that is gets judged again: what is in a ticket does not outlive its certificate.
void tls_server_ask_for_certificates(
    struct tls_server *server, const struct tls_client_certificates *certificates);

// ---- clients ------------------------------------------------------------

// Judges a peer's certificate chain (leaf first, DER) for a name.  False with
// the reason in *why refuses it.
typedef bool tls_verify_fn(
    void *context, const struct str *chain, size_t num_chain, const char *name, struct text *why);

// The verifier may be NULL: then any certificate will do.
struct tls_client *tls_client_new(tls_verify_fn *verify, void *context, struct text *why);
void tls_client_free(struct tls_client **client);

// ---- connections --------------------------------------------------------

// On the server's side, whether the client has said all of its hello.  Before that a
// connection costs next to nothing, and has sent nothing that costs an attacker
// anything either.
bool tls_has_hello(const struct tls *tls);

// Static strings such as "TLSv1.3", "TLS_AES_128_GCM_SHA256" and "X25519", valid
// once the handshake is over.
const char *tls_version(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);
const char *tls_group(const struct tls *tls);
bool tls_was_resumed(const struct tls *tls);

// The hash of the certificate that was served here, as the channel binding
// tls-server-end-point has it (RFC 5929 section 4); empty when it has none, and on
// the client's side.  Of a resumed session, that which was served when it began.
struct str tls_end_point(const struct tls *tls);

// The host name that the client asked for (server_name, RFC 6066 section 3), as it
// wrote it; "" when it asked for none.  Valid until the connection's end.
struct str tls_server_name(const struct tls *tls);

// On the server's side, whether one of the certificates has been chosen and served, or is
// what a resumed session began with; its number then stands in *out_number.
bool tls_has_served(const struct tls *tls, uint32_t *out_number);

// Whether the handshake failed because of that name.
bool tls_refused_name(const struct tls *tls);

// The certificate (DER) that the peer showed, now or in the session that was resumed, once
// the handshake is over; empty when it has shown none.  Valid until the connection's end.
struct str tls_peer_certificate(const struct tls *tls);

// Which BoringSSL this is, for people: a static string.
const char *tls_library(void);

// ---- for stream.c -------------------------------------------------------

// An exception, unless NULL, stands in the place of the server's own strength.
struct tls *tls_accept(
    struct stream *stream, const struct tls_server *server, const struct tls_strength *exception);
struct tls *tls_connect(struct stream *stream, const struct tls_client *client, const char *name);
void tls_free(struct tls **tls);

// WAITS: for a signature; stream_go_on tells when it is there.
enum tls_result { TLS_OK, TLS_WANTS_MORE, TLS_WAITS, TLS_ENDED, TLS_FAILED };

// What has just been read and not yet been given to BoringSSL.
void tls_feed(struct tls *tls, struct str raw);

// What of it BoringSSL has not read.
struct str tls_unread(const struct tls *tls);

// The wire has ended (FIN).
void tls_feed_end(struct tls *tls);

// Goes on with the handshake: TLS_OK when it is over.
enum tls_result tls_handshake(struct tls *tls);

// Decrypts into room all that was fed, or as much as fits; *out_len is how much that
// is, whatever is returned.  TLS_OK or TLS_WANTS_MORE: it goes on.  TLS_ENDED: the
// peer's close_notify, or with *out_truncated its FIN without one.
enum tls_result tls_read(
    struct tls *tls, char *room, size_t size, size_t *out_len, bool *out_truncated);

// Encrypts and passes on all of it.
enum tls_result tls_write(struct tls *tls, struct str bytes);

// Sends close_notify.
void tls_finish(struct tls *tls);

// Why it failed: a static string, and never NULL, which would be no failure to a stream.
const char *tls_error(const struct tls *tls);

// Implemented by stream.c: takes ciphertext for the wire.  False when the
// stream is broken.
bool stream_write_raw(struct stream *stream, struct str raw);

// Implemented by stream.c: a handshake that waits can go on.  Only from the loop.
void stream_go_on(struct stream *stream);

#endif
