// rdns_answer.c: names of answers, bytes of addresses.  See rdns_answer.h.
#include "policy/rdns_answer.h"

enum { IPV4_NETWORK = (96 + 24) / 8, IPV6_NETWORK = 48 / 8, IPV4_AT = 96 / 8 }; // bytes

static const unsigned char v4_mapped[IPV4_AT] = {[10] = 0xff, [11] = 0xff};

static const char *const status_names[RDNS_STATUSES] = {
    [RDNS_OK] = "ok",
    [RDNS_NXDOMAIN] = "nxdomain",
    [RDNS_SERVFAIL] = "servfail",
    [RDNS_TIMEOUT] = "timeout",
    [RDNS_UNAVAILABLE] = "unavailable",
};

const char *rdns_status_name(enum rdns_status status)
{
	return status_names[status];
}

struct rdns_key rdns_key_of(const struct addr *addr)
{
	struct rdns_key key;
	if (addr->any.sa_family == AF_INET6) {
		memcpy(key.at, &addr->v6.sin6_addr, sizeof(key.at));
	} else {
		memcpy(key.at, v4_mapped, IPV4_AT);
		memcpy(key.at + IPV4_AT, &addr->v4.sin_addr, sizeof(addr->v4.sin_addr));
	}
	return key;
}

struct str rdns_network(const struct rdns_key *key)
{
	bool is_v4 = memcmp(key->at, v4_mapped, IPV4_AT) == 0;
	return (struct str){(const char *)key->at, is_v4 ? IPV4_NETWORK : IPV6_NETWORK};
}
