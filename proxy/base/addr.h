// addr.h: addresses of IPv4 and IPv6 with a port: read, printed, compared.
//
// Used for listeners, servers and clients.  Opens no socket and asks no
// resolver.  A v4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is turned
// into the IPv4 address it stands for wherever one comes in, so that the rest
// of popgate sees one address for one client.
#ifndef POPGATE_PROXY_BASE_ADDR_H
#define POPGATE_PROXY_BASE_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "proxy/base/text.h"

struct addr {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

// Room for any printed address with its port, NUL included.
enum { ADDR_TEXT_SIZE = INET6_ADDRSTRLEN + 16 };

// Reads "192.0.2.1:995", "[2001:db8::1]:995" or, with a default_port other
// than 0, either without a port.  False when s is nothing of the kind: a host
// name, for instance.
bool addr_parse(struct str s, uint16_t default_port, struct addr *out_addr);

// Reads an address of the family AF_INET or AF_INET6, without port and brackets.
bool addr_parse_ip(struct str ip, int family, uint16_t port, struct addr *out_addr);

// Takes what the kernel gave, v4-mapped addresses unmapped.
struct addr addr_of(const struct sockaddr *sockaddr);

// As addr_parse reads it; the second without port and brackets.
void addr_print(const struct addr *addr, struct text *out);
void addr_print_ip(const struct addr *addr, struct text *out);

uint16_t addr_port(const struct addr *addr);
void addr_set_port(struct addr *addr, uint16_t port);
socklen_t addr_len(const struct addr *addr);
bool addr_eq(const struct addr *a, const struct addr *b);

// True for 0.0.0.0 and ::.
bool addr_is_wildcard(const struct addr *addr);

// True when one of them has all addresses of a family and the other one of them, at the
// same port.
bool addr_overlaps(const struct addr *a, const struct addr *b);

// True for 127.0.0.0/8 and ::1.
bool addr_is_loopback(const struct addr *addr);

#endif
