// rdns_answer.h: what the DNS says of a client's address: the names it has, and
// which of them have it.
//
// The answer of rdns.h, kept by rdns_cache.h, made by rdns_lookup.h, read by
// the judgement of `domain` rules.
#ifndef POPGATE_POLICY_RDNS_ANSWER_H
#define POPGATE_POLICY_RDNS_ANSWER_H

#include "proxy/base/addr.h"
#include "proxy/base/str.h"

enum { RDNS_NAMES_MAX = 8 };

enum rdns_status {
	RDNS_OK,       // it has names; whether confirmed or not was found out
	RDNS_NXDOMAIN, // it has no name, or none that a host can have
	// For now nobody knows:
	RDNS_SERVFAIL,    // a server could not find out, or would not
	RDNS_TIMEOUT,     // not in time
	RDNS_UNAVAILABLE, // not asked: the servers are gone, or too much is being asked
	RDNS_STATUSES
};

struct rdns_name {
	struct str name; // a legal host name in lower case, without a dot at its end
	bool confirmed;  // the address is among its own
};

// Names may come with a failure too: the address has them, but whether they are
// confirmed could not be found out.  What denies a name may count them.
struct rdns_answer {
	enum rdns_status status;
	const struct rdns_name *names;
	size_t num_names;
};

// One word for logs: "nxdomain".
const char *rdns_status_name(enum rdns_status status);

// An address as bytes that can be compared; IPv4 as v4-mapped (RFC 4291 section
// 2.5.5.2).
struct rdns_key {
	unsigned char at[16];
};

struct rdns_key rdns_key_of(const struct addr *addr);

// The bytes of the key's network: of IPv4 the /24, of IPv6 the /48.  That much
// commonly has one owner, who also has its reverse zone and can send from any
// address of it; so it is what no more than a share of anything is given to.
struct str rdns_network(const struct rdns_key *key);

#endif
