// key.h: what shared pages count is found by a key: a keyed hash of an address,
// a user, a listener.
//
// Used by limits.c, ledger.c and host_answers.c.  The secret is in the pages, so
// all workers make the same keys, and nobody outside can aim at one set of a
// table.  What a client is, as far as anything is counted, is decided here: of
// IPv6 a /64, which one client has to itself; of users the name without regard to case and
// outer spaces.  A realm is part of the name as it stands: only the store knows
// which of anna, anna@example.org and DOMAIN\anna are one.
#ifndef POPGATE_POLICY_KEY_H
#define POPGATE_POLICY_KEY_H

#include "proxy/base/addr.h"
#include "proxy/base/str.h"

struct key_secret {
	uint64_t at[2];
};

// SipHash-2-4 of both, with the lowest bit set, so that no key is 0.  `kind`
// keeps apart what is counted for different reasons.
uint64_t key_of(
    const struct key_secret *secret, uint64_t kind, struct str first, struct str second);

// The same of a key and something more.
uint64_t key_further(
    const struct key_secret *secret, uint64_t kind, uint64_t key, struct str second);

// The bytes of an address that tell one client from another; they are in *ip.
struct str key_ip(const struct addr *ip);

// The same, but of IPv6 the /48, the most that one site usually gets (RFC 6177).
struct str key_site(const struct addr *ip);

// The user as it is counted, written to `room`.
enum { KEY_USER_MAX = 256 };
struct str key_user(struct str user, char room[KEY_USER_MAX]);

#endif
