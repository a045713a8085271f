// proxy_header_write.h: the PROXY protocol towards a store: who popgate's client
// is, before the first byte of the dialogue and of its TLS (proxy-protocol.txt of
// HAProxy, sections 2.1 and 2.2).
//
// Called by the upstream dialogue.  Pure; what it writes, proxy_header.h reads.
#ifndef POPGATE_PROXY_NET_PROXY_HEADER_WRITE_H
#define POPGATE_PROXY_NET_PROXY_HEADER_WRITE_H

#include "proxy/base/addr.h"

// Room for any header of ours, NUL included.
enum { PROXY_HEADER_ROOM = 128 };

// From the client to where it connected.  Where one address is IPv4 and the other
// IPv6, the first is told as the IPv6 address that stands for it.
void proxy_header_write_v1(
    const struct addr *source, const struct addr *destination, struct text *out);

// As version 2; tls_version, such as "TLSv1.3", tells that the client has TLS, which
// a store may ask for before it takes a password; NULL: it has none.
void proxy_header_write_v2(const struct addr *source, const struct addr *destination,
    const char *tls_version, struct text *out);

#endif
