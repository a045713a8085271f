// signing.h: what a worker and the process that has the private keys say to each
// other: frames, which texts may be signed at all, and the signature.
//
// Used by signer.c (a worker's side), keys.c (the other side) and whoever makes TLS
// contexts.  Pure: no socket.
//
// A packet holds one or more whole frames, one behind the other.  A question has the
// text that TLS wants signed; its answer has the same id and the signature, or no bytes
// when there is none.  Answers come in the order of their questions.  Both sides are
// processes of one binary on one machine, so numbers are as the machine has them.
#ifndef POPGATE_PROXY_NET_SIGNING_H
#define POPGATE_PROXY_NET_SIGNING_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/str.h"

struct evp_pkey_st;

enum {
	// Of a ServerKeyExchange in TLS 1.2 with P-521: 201 bytes; TLS 1.3 has less.
	SIGNING_TEXT_MAX = 256,
	// RSA with 8192 bits, the most that BoringSSL has.
	SIGNATURE_MAX = 1024,
	SIGNING_BATCH = 8, // frames in a packet
};

struct signing_head {
	uint32_t id;
	uint32_t slot;      // which key; of no meaning in an answer
	uint16_t algorithm; // a SignatureScheme (RFC 8446 section 4.2.3); likewise
	uint16_t len;       // of what follows
};

enum {
	SIGNING_QUESTIONS_MAX =
	    SIGNING_BATCH * (int)(sizeof(struct signing_head) + SIGNING_TEXT_MAX),
	SIGNING_ANSWERS_MAX = SIGNING_BATCH * (int)(sizeof(struct signing_head) + SIGNATURE_MAX),
};

struct signing_frame {
	struct signing_head head;
	struct str bytes;
};

// Takes the first frame off a packet, of at most `most` bytes behind its head.  False
// when there is none: the packet is broken, or empty.
__attribute__((warn_unused_result)) bool signing_take(
    struct str *packet, size_t most, struct signing_frame *out);

// Appends one to a packet, which has room for it; returns the packet's new length.
size_t signing_add(char *packet, size_t len, const struct signing_head *head, struct str bytes);

// Whether TLS lets a server sign such a text: the content of a CertificateVerify (RFC
// 8446 section 4.4.3), or the randoms and parameters of a ServerKeyExchange over a named
// curve (RFC 8422 section 5.4).  Whoever has taken over a worker can be this server in
// handshakes, but can have nothing else signed: no certificate, request or token.
__attribute__((warn_unused_result)) bool signing_is_tls(uint16_t algorithm, struct str text);

// Signs the text itself (Ed25519) or its digest.  Returns the signature's length; 0 when
// the key cannot do this algorithm.
size_t signing_sign(struct evp_pkey_st *key, uint16_t algorithm, struct str text,
    uint8_t out_signature[SIGNATURE_MAX]);

#endif
