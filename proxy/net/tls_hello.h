// tls_hello.h: whether a client's first flight, as it comes off the wire, holds a
// whole ClientHello (RFC 8446 sections 4.1.2 and 5.1).
//
// Used by tls.c, which keeps the bytes and makes nothing else for a client before it
// has said so much; then for what BoringSSL reads until it has the hello, and a second
// one where it asks for that (section 4.1.4).  Pure: it sees each byte once, however
// they come, and allocates nothing.  It reads no further than the lengths; what is wrong
// otherwise, or no TLS at all, is for BoringSSL to answer, and counts as whole.
#ifndef POPGATE_PROXY_NET_TLS_HELLO_H
#define POPGATE_PROXY_NET_TLS_HELLO_H

#include "proxy/base/str.h"

// Bytes on the wire up to the end of a ClientHello, or from one to the end of the next;
// for the rest of a handshake BoringSSL has limits of its own.  Hellos have 500 bytes, or
// 1,800 with the post-quantum key shares, and a ticket in them some 250.
enum { TLS_HELLO_MAX = 8 * 1024 };

enum tls_hello_result { TLS_HELLO_PARTIAL, TLS_HELLO_WHOLE, TLS_HELLO_TOO_LARGE };

// Ready when all but passes_others is zero.
struct tls_hello {
	uint32_t num_seen;
	uint32_t record_left;
	uint32_t message_left;
	uint8_t header[5]; // of the record
	uint8_t header_len;
	uint8_t prefix[4]; // of the message
	uint8_t prefix_len;
	bool is_other;      // the record is of another kind
	bool passes_others; // set by the caller: such records, and empty ones, are no answer
};

// Looks at the bytes that came next.  After another answer than PARTIAL it is over.
enum tls_hello_result tls_hello_take(struct tls_hello *hello, struct str bytes);

#endif
