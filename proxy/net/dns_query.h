// dns_query.h: one DNS question as a message, and which names are host names
// (RFC 1035 section 4, RFC 3596, RFC 6891).
//
// Pure.  Made by resolve.c, which sends it; dns_answer.c compares answers with
// it.  The id is 0 until it is set, anew for each time the message is sent.
//
// Not taken: ares_create_query.  It knows no reverse names, takes any bytes
// for a name, and numbers queries with a generator of its own.
#ifndef POPGATE_PROXY_NET_DNS_QUERY_H
#define POPGATE_PROXY_NET_DNS_QUERY_H

#include "proxy/base/addr.h"

enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_PTR = 12, DNS_TYPE_AAAA = 28 };

enum {
	DNS_NAME_MAX = 253, // bytes of a name as text, without a dot at its end
	DNS_WIRE_MAX = 255, // the same on the wire
	DNS_LABEL_MAX = 63,
	DNS_HEADER_SIZE = 12,
	DNS_OPT_SIZE = 11,
	// What we say that we take by UDP: unfragmented on every path of IPv6.
	DNS_UDP_MAX = 1232,
};

struct dns_query {
	unsigned char at[DNS_HEADER_SIZE + DNS_WIRE_MAX + 4 + DNS_OPT_SIZE];
	size_t question_len; // behind the header: name, type, class
	size_t len;
};

// Whether s is what a host can be called: labels of 1 to 63 letters, digits,
// hyphens (not at their ends) and underscores, at most 253 bytes in all, no dot
// at the end; and nothing that anybody reads as an address, so the last label
// is no number, decimal or hexadecimal.
bool dns_name_is_host(struct str s);

// Asks for the addresses of a host.  False when it can have none, since the name
// is no host name.
__attribute__((warn_unused_result)) bool dns_query_host(
    struct dns_query *out_query, enum dns_type type, struct str name);

// Asks for the names of an address (in-addr.arpa, ip6.arpa).
void dns_query_reverse(struct dns_query *out_query, const struct addr *addr);

// The EDNS record (DNS_UDP_MAX) can be taken away, for a server that does not
// know it.
bool dns_query_has_edns(const struct dns_query *query);
void dns_query_drop_edns(struct dns_query *query);

void dns_query_set_id(struct dns_query *query, uint16_t id);

static inline struct str dns_query_question(const struct dns_query *query)
{
	return (struct str){(const char *)query->at + DNS_HEADER_SIZE, query->question_len};
}

static inline enum dns_type dns_query_type(const struct dns_query *query)
{
	return (enum dns_type)query->at[DNS_HEADER_SIZE + query->question_len - 3];
}

#endif
