// dns.h: builds DNS answers, true ones and lies.
//
// Names are texts ("a.b"), an empty one the root; "@" is the name asked for, as
// a compression pointer.  What no text can say is given as bytes.
#ifndef POPGATE_TESTS_KIT_DNS_H
#define POPGATE_TESTS_KIT_DNS_H

#include "proxy/net/dns_query.h"

enum { DNS_CNAME = 5, DNS_SOA = 6 };
enum {
	DNS_RCODE_OK,
	DNS_RCODE_FORMERR,
	DNS_RCODE_SERVFAIL,
	DNS_RCODE_NXDOMAIN,
	DNS_RCODE_REFUSED = 5
};

struct dns_message {
	unsigned char at[65535];
	size_t len;
};

static inline struct str dns_message_str(const struct dns_message *message)
{
	return (struct str){(const char *)message->at, message->len};
}

// Header and question, as the answer to the query's bytes.
void dns_begin(struct dns_message *message, struct str query, unsigned rcode);

// The answer's records come first, then the authority's SOA.
void dns_add(struct dns_message *message, const char *owner, unsigned type, uint32_t ttl_s,
    struct str bytes);
void dns_add_name(struct dns_message *message, const char *owner, unsigned type, uint32_t ttl_s,
    const char *name);
void dns_add_addr(struct dns_message *message, const char *owner, uint32_t ttl_s, const char *addr);
void dns_add_soa(struct dns_message *message, uint32_t ttl_s, uint32_t minimum_s);

#endif
