// proxy_header.h: the PROXY protocol, versions 1 and 2: what a load balancer
// writes before a client's first byte, to say who that client is
// (proxy-protocol.txt of HAProxy, sections 2.1 and 2.2).
//
// Called by the session for listeners behind a load balancer.  Pure: bytes in,
// a header out, nothing kept between calls; bytes that grow are simply parsed
// again, since a header is short and nearly always comes whole.
//
// Whom to believe is the caller's business: anybody can write a header.
//
// Not taken from it: what the extensions (TLVs) of version 2 tell about the
// client's TLS, since popgate ends TLS itself.  They must be well formed, and a
// checksum among them must be right.
#ifndef POPGATE_PROXY_NET_PROXY_HEADER_H
#define POPGATE_PROXY_NET_PROXY_HEADER_H

#include "proxy/base/addr.h"

struct proxy_header {
	// The load balancer speaks for itself (a health check) or does not know
	// its client: the connection's own addresses hold, and there are none here.
	bool is_local;
	struct addr source;      // the client
	struct addr destination; // where it had connected to
	const char *why;         // of PROXY_BAD: a static text for people
};

// The longest header that is taken: 16 fixed bytes and a block of addresses
// and extensions.
enum { PROXY_HEADER_MAX = 16 + 2048 };

enum proxy_result {
	PROXY_INCOMPLETE, // so far a header; more bytes are needed
	PROXY_DONE,       // *out_used bytes were the header
	PROXY_BAD,        // never a header, whatever follows
};

// Parses the beginning of a connection.  What cannot become a header is bad at
// its first wrong byte, so that a client that speaks TLS or POP3 instead waits
// for nothing; addresses, ports and extensions are judged when they are complete.
enum proxy_result proxy_header_parse(struct str bytes, struct proxy_header *out, size_t *out_used);

#endif
