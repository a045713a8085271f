// proxy_header_write.c: see proxy_header_write.h.
#include "proxy/net/proxy_header_write.h"

#include <arpa/inet.h>

enum { PP2_TYPE_SSL = 0x20, PP2_SUBTYPE_SSL_VERSION = 0x21, PP2_CLIENT_SSL = 1 };

static bool is_v6(const struct addr *addr)
{
	return addr->any.sa_family == AF_INET6;
}

// The bytes of an address, in IPv6 where it must be (RFC 4291 section 2.5.5.2).
struct ip {
	char at[16];
	size_t len;
};

static struct ip ip_of(const struct addr *addr, bool as_v6)
{
	struct ip ip = {.len = as_v6 ? 16 : 4};
	if (is_v6(addr)) {
		memcpy(ip.at, &addr->v6.sin6_addr, 16);
		return ip;
	}
	if (as_v6)
		memset(ip.at + 10, 0xff, 2);
	memcpy(ip.at + ip.len - 4, &addr->v4.sin_addr, 4);
	return ip;
}

static void add_ip_text(struct text *out, const struct addr *addr, bool as_v6)
{
	char room[INET6_ADDRSTRLEN];
	struct ip ip = ip_of(addr, as_v6);
	inet_ntop(as_v6 ? AF_INET6 : AF_INET, ip.at, room, sizeof(room));
	text_add_char(out, ' ');
	text_add(out, str_of(room));
}

void proxy_header_write_v1(
    const struct addr *source, const struct addr *destination, struct text *out)
{
	bool as_v6 = is_v6(source) || is_v6(destination);
	text_add(out, as_v6 ? STR("PROXY TCP6") : STR("PROXY TCP4"));
	add_ip_text(out, source, as_v6);
	add_ip_text(out, destination, as_v6);
	text_addf(out, " %u %u\r\n", addr_port(source), addr_port(destination));
}

static void add_u16(struct text *out, size_t number)
{
	text_add_char(out, (char)(number >> 8));
	text_add_char(out, (char)number);
}

static void add_ip(struct text *out, const struct addr *addr, bool as_v6)
{
	struct ip ip = ip_of(addr, as_v6);
	text_add(out, (struct str){ip.at, ip.len});
}

// What is known of the client, then whether its certificate was found good, which
// it was not asked for: not zero.
static void add_tls(struct text *out, struct str version)
{
	static const char not_verified[] = {0, 0, 0, 1};
	text_add_char(out, PP2_TYPE_SSL);
	add_u16(out, 1 + sizeof(not_verified) + 3 + version.len);
	text_add_char(out, PP2_CLIENT_SSL);
	text_add(out, (struct str){not_verified, sizeof(not_verified)});
	text_add_char(out, PP2_SUBTYPE_SSL_VERSION);
	add_u16(out, version.len);
	text_add(out, version);
}

void proxy_header_write_v2(const struct addr *source, const struct addr *destination,
    const char *tls_version, struct text *out)
{
	bool as_v6 = is_v6(source) || is_v6(destination);
	struct str version = str_of(tls_version);
	size_t tls_len = tls_version ? 3 + 1 + 4 + 3 + version.len : 0;
	text_add(out, STR("\r\n\r\n\0\r\nQUIT\n\x21"));
	text_add_char(out, as_v6 ? 0x21 : 0x11);
	add_u16(out, (as_v6 ? 36 : 12) + tls_len);
	add_ip(out, source, as_v6);
	add_ip(out, destination, as_v6);
	add_u16(out, addr_port(source));
	add_u16(out, addr_port(destination));
	if (tls_version)
		add_tls(out, version);
}
