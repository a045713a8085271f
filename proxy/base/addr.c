// addr.c: reading and printing addresses.  See addr.h.
#include "proxy/base/addr.h"

#include <arpa/inet.h>

static bool parse_port(struct str s, uint16_t *out_port)
{
	uint64_t number;
	if (!str_to_u64(s, &number) || number > UINT16_MAX)
		return false;
	*out_port = (uint16_t)number;
	return true;
}

bool addr_parse_ip(struct str ip, int family, uint16_t port, struct addr *out_addr)
{
	char c_string[INET6_ADDRSTRLEN];
	if (ip.len >= sizeof(c_string) || str_has_control(ip))
		return false;
	memcpy(c_string, ip.at, ip.len);
	c_string[ip.len] = '\0';
	*out_addr = (struct addr){0};
	out_addr->any.sa_family = (sa_family_t)family;
	void *where =
	    family == AF_INET6 ? (void *)&out_addr->v6.sin6_addr : (void *)&out_addr->v4.sin_addr;
	if (inet_pton(family, c_string, where) != 1)
		return false;
	addr_set_port(out_addr, port);
	*out_addr = addr_of(&out_addr->any);
	return true;
}

// "[address]" and what follows it.
static bool parse_bracketed(struct str s, uint16_t port, struct addr *out)
{
	size_t close = str_find(s, ']');
	if (close == s.len)
		return false;
	struct str rest = str_drop(s, close + 1);
	if (rest.len && (rest.at[0] != ':' || !parse_port(str_drop(rest, 1), &port)))
		return false;
	if (!rest.len && !port)
		return false;
	return addr_parse_ip(str_drop(str_take(s, close), 1), AF_INET6, port, out);
}

bool addr_parse(struct str s, uint16_t default_port, struct addr *out_addr)
{
	struct str ip, port_text;
	uint16_t port = default_port;
	if (s.len && s.at[0] == '[')
		return parse_bracketed(s, port, out_addr);
	bool has_colon = str_cut(s, ':', &ip, &port_text);
	if (has_colon && str_find(port_text, ':') < port_text.len)
		return default_port && addr_parse_ip(s, AF_INET6, port, out_addr);
	if (has_colon ? !parse_port(port_text, &port) : !default_port)
		return false;
	return addr_parse_ip(ip, AF_INET, port, out_addr);
}

struct addr addr_of(const struct sockaddr *sockaddr)
{
	struct addr addr = {0};
	if (sockaddr->sa_family == AF_INET) {
		memcpy(&addr.v4, sockaddr, sizeof(addr.v4));
	} else if (sockaddr->sa_family == AF_INET6) {
		memcpy(&addr.v6, sockaddr, sizeof(addr.v6));
		if (IN6_IS_ADDR_V4MAPPED(&addr.v6.sin6_addr)) {
			struct sockaddr_in v4 = {
			    .sin_family = AF_INET, .sin_port = addr.v6.sin6_port};
			memcpy(&v4.sin_addr, &addr.v6.sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
			addr = (struct addr){.v4 = v4};
		}
	}
	return addr;
}

void addr_print_ip(const struct addr *addr, struct text *out)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	const void *where = addr->any.sa_family == AF_INET6 ? (const void *)&addr->v6.sin6_addr
	                                                    : (const void *)&addr->v4.sin_addr;
	inet_ntop(addr->any.sa_family, where, ip, sizeof(ip));
	text_add(out, str_of(ip));
}

void addr_print(const struct addr *addr, struct text *out)
{
	bool brackets = addr->any.sa_family == AF_INET6;
	if (brackets)
		text_add_char(out, '[');
	addr_print_ip(addr, out);
	if (brackets)
		text_add_char(out, ']');
	text_add_char(out, ':');
	text_add_u64(out, addr_port(addr));
}

uint16_t addr_port(const struct addr *addr)
{
	return ntohs(addr->any.sa_family == AF_INET6 ? addr->v6.sin6_port : addr->v4.sin_port);
}

void addr_set_port(struct addr *addr, uint16_t port)
{
	if (addr->any.sa_family == AF_INET6)
		addr->v6.sin6_port = htons(port);
	else
		addr->v4.sin_port = htons(port);
}

socklen_t addr_len(const struct addr *addr)
{
	return addr->any.sa_family == AF_INET6 ? sizeof(addr->v6) : sizeof(addr->v4);
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	if (a->any.sa_family != b->any.sa_family || addr_port(a) != addr_port(b))
		return false;
	if (a->any.sa_family == AF_INET6)
		return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0 &&
		       a->v6.sin6_scope_id == b->v6.sin6_scope_id;
	return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

bool addr_is_wildcard(const struct addr *addr)
{
	if (addr->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr);
	return addr->v4.sin_addr.s_addr == INADDR_ANY;
}

bool addr_overlaps(const struct addr *a, const struct addr *b)
{
	return a->any.sa_family == b->any.sa_family && addr_port(a) == addr_port(b) &&
	       (addr_is_wildcard(a) || addr_is_wildcard(b));
}

bool addr_is_loopback(const struct addr *addr)
{
	if (addr->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&addr->v6.sin6_addr);
	return ntohl(addr->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}
