// range.h: a range of addresses: a single one, a network, or from one to
// another.
//
// Used by rules, files of prefixes and tables.  Plain values, no memory of
// their own.  A v4-mapped IPv6 address or network (RFC 4291 section 2.5.5.2) is
// the IPv4 one, as in struct addr; so ::/0 covers no IPv4 address.
//
// Not done: the compiler's 128-bit integer.  Not every processor has one.
#ifndef POPGATE_POLICY_RANGE_H
#define POPGATE_POLICY_RANGE_H

#include "proxy/base/addr.h"

// An address as a number, of IPv4 in the lowest 32 bits.
struct ip_number {
	uint64_t high, low;
};

static inline bool ip_number_less(struct ip_number a, struct ip_number b)
{
	return a.high < b.high || (a.high == b.high && a.low < b.low);
}

static inline bool ip_number_eq(struct ip_number a, struct ip_number b)
{
	return a.high == b.high && a.low == b.low;
}

// The one after it; after the last comes 0.
static inline struct ip_number ip_number_next(struct ip_number n)
{
	return (struct ip_number){n.high + (n.low == UINT64_MAX), n.low + 1};
}

// Of an IPv4 or IPv6 address; its port and interface do not count.
struct ip_number ip_number_of(const struct addr *addr);

// Both ends belong to it, and first is not after last.
struct addr_range {
	struct ip_number first, last;
	bool is_v6;
};

// Room for any printed range, NUL included.
enum { RANGE_TEXT_SIZE = 2 * INET6_ADDRSTRLEN };

// Reads "192.0.2.1", "192.0.2.0/24", "192.0.2.0/255.255.255.0",
// "192.0.2.10-192.0.2.40", and the same of IPv6 but for the dotted mask.  False,
// with the reason in *why, for anything else, and for a network whose address
// has bits beyond its mask: nobody knows whether that was meant.
__attribute__((warn_unused_result)) bool range_parse(
    struct str s, struct addr_range *out_range, struct text *why);

// The range of one address of IPv4 or IPv6.
struct addr_range range_of_addr(const struct addr *addr);

// All addresses that begin with the first `bits` bits of `first` (of 32 or 128).
struct addr_range range_of_network(struct ip_number first, unsigned bits, bool is_v6);

bool range_contains(const struct addr_range *range, const struct addr *addr);

// Whether every address of `inner` is in `outer`.
bool range_covers(const struct addr_range *outer, const struct addr_range *inner);

// The shortest of the forms that range_parse reads.
void range_print(const struct addr_range *range, struct text *out);

// How many addresses there are; exact up to 2^64 and for every network.
long double range_count(const struct addr_range *range);

// Such a number for people: "254", "2^64", "about 3.7e+19".
void range_print_count(long double count, struct text *out);

#endif
