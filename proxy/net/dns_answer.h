// dns_answer.h: takes a DNS answer apart (RFC 1035 section 4): a name server's
// bytes in, a few names or addresses out.
//
// Pure; called by resolve.c with what c-ares received.  The server is asked by
// us, but what it says was written by whoever owns the client's address: names
// may hold any byte, there may be hundreds, and CNAMEs may run in circles.
// What comes out is small, bounded and fit to be compared, printed and asked
// for again.
//
// A chain of CNAMEs is followed within the one answer, however its records are
// ordered: networks smaller than /24 have their reverse names that way
// (RFC 2317; their labels may hold a "/").
//
// Not taken: c-ares's own parsers.  They tell no lifetime of PTR records, give
// no bound, and let addresses pass as names.
#ifndef POPGATE_PROXY_NET_DNS_ANSWER_H
#define POPGATE_PROXY_NET_DNS_ANSWER_H

#include "proxy/net/dns_query.h"

enum {
	DNS_CHAIN_MAX = 8, // CNAMEs followed
	DNS_NAMES_MAX = 8,
	DNS_ADDRS_MAX = 32,
	DNS_RECORDS_MAX = 512, // of one answer that are looked at
};

enum dns_status {
	DNS_OK,        // there are records, though perhaps none with a legal name
	DNS_NXDOMAIN,  // the name does not exist
	DNS_NODATA,    // it exists, without such a record
	DNS_SERVFAIL,  // the server could not find out
	DNS_FORMERR,   // the server did not understand the question
	DNS_REFUSED,   // or answered with any other code
	DNS_MALFORMED, // no answer to this question, cut short, or not to be read
};

struct dns_name {
	unsigned char len;
	char at[DNS_NAME_MAX];
};

struct dns_answer {
	enum dns_status status;
	// Seconds that this may be kept: the least of all records used, CNAMEs
	// included.  Of a negative answer what RFC 2308 section 5 says: the lesser
	// of the SOA record's own and its "minimum"; 0 where none came.
	uint32_t ttl_s;
	// The answer to PTR: host names (dns_name_is_host), lower case.
	size_t num_names;
	struct dns_name names[DNS_NAMES_MAX];
	size_t num_ignored;      // legal ones beyond that
	size_t num_illegal;      // names that no host can have
	struct dns_name illegal; // the first of these: any bytes, for a log line alone
	// The answer to A or AAAA; port 0, v4-mapped ones as IPv4.
	size_t num_addrs;
	struct addr addrs[DNS_ADDRS_MAX];
};

static inline struct str dns_name_str(const struct dns_name *name)
{
	return (struct str){name->at, name->len};
}

// Reads the message as the answer to the query.
void dns_answer_parse(struct str message, const struct dns_query *query, struct dns_answer *out);

#endif
