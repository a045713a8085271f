// range.c: reading, printing and comparing ranges.  See range.h.
#include "policy/range.h"

#include <arpa/inet.h>

enum { V4_BITS = 32, V6_BITS = 128, V4_OFFSET = V6_BITS - V4_BITS };

// A piece of what somebody wrote, for a message.
struct quoted {
	char at[72];
};

// What was read before it is known which range it means.
struct written {
	struct ip_number number;
	bool is_v6;
	bool is_mapped; // an IPv4 address, written as IPv6
};

static struct quoted quoted(struct str s)
{
	struct quoted quote;
	struct text text = TEXT(quote.at);
	struct str start = str_take(s, 60);
	text_add_char(&text, '"');
	for (size_t i = 0; i < start.len; i++)
		text_add_char(&text, start.at[i] >= ' ' && start.at[i] <= '~' ? start.at[i] : '?');
	text_addf(&text, "%s\"", start.len < s.len ? "..." : "");
	return quote;
}

static struct ip_number number_of_v4(struct in_addr v4)
{
	return (struct ip_number){0, ntohl(v4.s_addr)};
}

static struct ip_number number_of_v6(const struct in6_addr *v6)
{
	struct ip_number number = {0, 0};
	for (size_t i = 0; i < 8; i++) {
		number.high = number.high << 8 | v6->s6_addr[i];
		number.low = number.low << 8 | v6->s6_addr[i + 8];
	}
	return number;
}

struct ip_number ip_number_of(const struct addr *addr)
{
	return addr->any.sa_family == AF_INET6 ? number_of_v6(&addr->v6.sin6_addr)
	                                       : number_of_v4(addr->v4.sin_addr);
}

static struct addr addr_of_number(struct ip_number number, bool is_v6)
{
	struct addr addr = {0};
	if (!is_v6) {
		addr.v4.sin_family = AF_INET;
		addr.v4.sin_addr.s_addr = htonl((uint32_t)number.low);
		return addr;
	}
	addr.v6.sin6_family = AF_INET6;
	for (size_t i = 0; i < 8; i++) {
		addr.v6.sin6_addr.s6_addr[i] = (uint8_t)(number.high >> (56 - 8 * i));
		addr.v6.sin6_addr.s6_addr[i + 8] = (uint8_t)(number.low >> (56 - 8 * i));
	}
	return addr;
}

// ---- masks --------------------------------------------------------------

// The bits that a mask of so many bits, of 128, leaves to the hosts.
static struct ip_number host_bits(unsigned bits)
{
	struct ip_number hosts = {UINT64_MAX, UINT64_MAX};
	if (bits >= 64) {
		hosts.high = 0;
		hosts.low = bits == V6_BITS ? 0 : UINT64_MAX >> (bits - 64);
	} else {
		hosts.high = UINT64_MAX >> bits;
	}
	return hosts;
}

struct addr_range range_of_network(struct ip_number first, unsigned bits, bool is_v6)
{
	struct ip_number hosts = host_bits(is_v6 ? bits : bits + V4_OFFSET);
	return (struct addr_range){
	    .first = {first.high & ~hosts.high, first.low & ~hosts.low},
	    .last = {first.high | hosts.high, first.low | hosts.low},
	    .is_v6 = is_v6,
	};
}

struct addr_range range_of_addr(const struct addr *addr)
{
	struct ip_number number = ip_number_of(addr);
	return (struct addr_range){number, number, addr->any.sa_family == AF_INET6};
}

// Whether it is a network, and of how many bits.
static bool is_network(const struct addr_range *range, unsigned *out_bits)
{
	for (*out_bits = 0; *out_bits <= (range->is_v6 ? V6_BITS : V4_BITS); ++*out_bits) {
		struct addr_range network = range_of_network(range->first, *out_bits, range->is_v6);
		if (ip_number_eq(network.first, range->first) &&
		    ip_number_eq(network.last, range->last))
			return true;
	}
	return false;
}

// ---- reading ------------------------------------------------------------

static bool read_ip(struct str s, struct written *out)
{
	char c_string[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;
	if (s.len >= sizeof(c_string) || str_has_control(s))
		return false;
	if (s.len)
		memcpy(c_string, s.at, s.len);
	c_string[s.len] = '\0';
	if (inet_pton(AF_INET, c_string, &v4) == 1) {
		*out = (struct written){.number = number_of_v4(v4)};
		return true;
	}
	if (inet_pton(AF_INET6, c_string, &v6) != 1)
		return false;
	*out = (struct written){number_of_v6(&v6), true, false};
	if (IN6_IS_ADDR_V4MAPPED(&v6))
		*out = (struct written){{0, out->number.low & UINT32_MAX}, false, true};
	return true;
}

// Of a dotted mask; false when ones follow after a zero.
static bool count_ones(uint32_t mask, unsigned *out_bits)
{
	for (*out_bits = 0; mask & UINT32_C(1) << 31; mask <<= 1)
		++*out_bits;
	return mask == 0;
}

static bool read_dotted(
    struct str s, const struct written *ip, unsigned *out_bits, struct text *why)
{
	struct written mask;
	if (!read_ip(s, &mask) || mask.is_v6 || mask.is_mapped || ip->is_v6 || ip->is_mapped) {
		text_addf(why,
		    "%s is no mask; write the number of bits, as in /24, or for IPv4 a dotted "
		    "mask, "
		    "as in /255.255.255.0",
		    quoted(s).at);
		return false;
	}
	if (count_ones((uint32_t)mask.number.low, out_bits))
		return true;
	text_addf(
	    why, "%s is no mask: its one bits must come first, as in 255.255.255.0", quoted(s).at);
	return false;
}

static bool read_bits(struct str s, const struct written *ip, unsigned *out_bits, struct text *why)
{
	uint64_t number;
	unsigned most = ip->is_v6 || ip->is_mapped ? V6_BITS : V4_BITS;
	unsigned least = ip->is_mapped ? V4_OFFSET : 0;
	if (!str_to_u64(s, &number))
		return read_dotted(s, ip, out_bits, why);
	if (number >= least && number <= most) {
		*out_bits = (unsigned)number - least;
		return true;
	}
	text_addf(why, "/%.*s is no mask of such an address; it has %u to %u bits",
	    STR_ARG(str_take(s, 20)), least, most);
	return false;
}

static bool read_network(
    struct str s, struct str ip, struct str mask, struct addr_range *out, struct text *why)
{
	struct written written;
	unsigned bits;
	if (!read_ip(ip, &written)) {
		text_addf(why, "%s is no address; a network is written as in 192.0.2.0/24",
		    quoted(ip).at);
		return false;
	}
	if (!read_bits(mask, &written, &bits, why))
		return false;
	*out = range_of_network(written.number, bits, written.is_v6);
	if (ip_number_eq(out->first, written.number))
		return true;
	text_addf(why, "%.*s has bits beyond its mask; write ", STR_ARG(str_take(s, 100)));
	range_print(out, why);
	return false;
}

static bool read_span(struct str from, struct str to, struct addr_range *out, struct text *why)
{
	struct written first, last;
	if (!read_ip(from, &first) || !read_ip(to, &last)) {
		text_addf(why, "%s to %s is no range; write it as in 192.0.2.10-192.0.2.40",
		    quoted(from).at, quoted(to).at);
		return false;
	}
	if (first.is_v6 != last.is_v6) {
		text_addf(why, "a range is of IPv4 or of IPv6, and %s and %s are one of each",
		    quoted(from).at, quoted(to).at);
		return false;
	}
	*out = (struct addr_range){first.number, last.number, first.is_v6};
	if (!ip_number_less(last.number, first.number))
		return true;
	text_addf(
	    why, "the range ends before it begins; write %.*s-%.*s", STR_ARG(to), STR_ARG(from));
	return false;
}

bool range_parse(struct str s, struct addr_range *out_range, struct text *why)
{
	struct str head, tail;
	struct written written;
	if (str_cut(s, '/', &head, &tail))
		return read_network(s, head, tail, out_range, why);
	if (str_cut(s, '-', &head, &tail))
		return read_span(str_trim(head), str_trim(tail), out_range, why);
	if (!read_ip(s, &written)) {
		text_addf(why,
		    "%s is no address; write 192.0.2.1, 192.0.2.0/24, 192.0.2.0/255.255.255.0, "
		    "192.0.2.10-192.0.2.40 or the like of IPv6",
		    quoted(s).at);
		return false;
	}
	*out_range = (struct addr_range){written.number, written.number, written.is_v6};
	return true;
}

// ---- asking -------------------------------------------------------------

bool range_covers(const struct addr_range *outer, const struct addr_range *inner)
{
	return outer->is_v6 == inner->is_v6 && !ip_number_less(inner->first, outer->first) &&
	       !ip_number_less(outer->last, inner->last);
}

bool range_contains(const struct addr_range *range, const struct addr *addr)
{
	struct addr_range one = range_of_addr(addr);
	return addr->any.sa_family == (range->is_v6 ? AF_INET6 : AF_INET) &&
	       range_covers(range, &one);
}

void range_print(const struct addr_range *range, struct text *out)
{
	struct addr first = addr_of_number(range->first, range->is_v6);
	struct addr last = addr_of_number(range->last, range->is_v6);
	unsigned bits;
	addr_print_ip(&first, out);
	if (ip_number_eq(range->first, range->last))
		return;
	if (is_network(range, &bits)) {
		text_addf(out, "/%u", bits);
	} else {
		text_add_char(out, '-');
		addr_print_ip(&last, out);
	}
}

long double range_count(const struct addr_range *range)
{
	uint64_t low = range->last.low - range->first.low;
	uint64_t high = range->last.high - range->first.high - (range->last.low < range->first.low);
	return (long double)high * 0x1p64L + (long double)low + 1;
}

static bool is_power_of_two(long double count, unsigned *out_exponent)
{
	*out_exponent = 0;
	while (count > 1) {
		count /= 2;
		++*out_exponent;
	}
	return count == 1;
}

void range_print_count(long double count, struct text *out)
{
	unsigned exponent;
	if (count > 0x1p32L && is_power_of_two(count, &exponent))
		text_addf(out, "2^%u", exponent);
	else if (count < 1e15L)
		text_addf(out, "%.0Lf", count);
	else
		text_addf(out, "about %.1Le", count);
}
