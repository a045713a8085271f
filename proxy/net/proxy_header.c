// proxy_header.c: see proxy_header.h.
//
// Both versions are read by a cursor that remembers how it stopped: once bytes
// are missing or wrong, later steps do nothing.
#include "proxy/net/proxy_header.h"

enum {
	V1_MAX = 107, // CR LF included
	CRC32C_LEN = 4,
};

// Version 2: where its block begins, how long that may be, and how much of it
// the addresses of a family are.
enum {
	BLOCK_AT = 16,
	BLOCK_MAX = PROXY_HEADER_MAX - BLOCK_AT,
	INET_LEN = 12,
	INET6_LEN = 36,
};

// What its bytes mean, four bits at a time, and its extensions.
enum { VERSION_2 = 2 };
enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_UNSPEC = 0, FAMILY_INET = 1, FAMILY_INET6 = 2, FAMILY_UNIX = 3 };
enum { TRANSPORT_UNSPEC = 0, TRANSPORT_STREAM = 1, TRANSPORT_DGRAM = 2 };
enum { TLV_CRC32C = 3, TLV_HEAD = 3 };

static const struct str signature = STR("\r\n\r\n\0\r\nQUIT\n");
static const char no_header[] = "no PROXY protocol header";
static const char no_family[] = "version 1: neither TCP4, TCP6 nor UNKNOWN";

struct cursor {
	struct str rest;
	enum proxy_result result; // PROXY_DONE as long as all is well
	const char *why;
};

static bool is_well(const struct cursor *in)
{
	return in->result == PROXY_DONE;
}

static void refuse_if(struct cursor *in, bool wrong, const char *why)
{
	if (!is_well(in) || !wrong)
		return;
	in->result = PROXY_BAD;
	in->why = why;
}

static struct str take(struct cursor *in, size_t len)
{
	struct str taken = str_take(in->rest, len);
	if (!is_well(in))
		return (struct str){0};
	if (taken.len < len)
		in->result = PROXY_INCOMPLETE;
	in->rest = str_drop(in->rest, len);
	return taken;
}

static uint8_t take_byte(struct cursor *in)
{
	struct str byte = take(in, 1);
	return byte.len ? (uint8_t)byte.at[0] : 0;
}

// Exactly these bytes, as far as there are any.
static void take_literal(struct cursor *in, struct str literal, const char *why)
{
	struct str there = str_take(in->rest, literal.len);
	refuse_if(in, !str_eq(there, str_take(literal, there.len)), why);
	take(in, literal.len);
}

static bool is_next(const struct cursor *in, char c)
{
	return in->rest.len && in->rest.at[0] == c;
}

// ---- version 1 ----------------------------------------------------------

// At most `max` of these characters, and `end` behind them.
static struct str take_field(
    struct cursor *in, struct str chars, size_t max, char end, const char *why)
{
	size_t len = 0;
	while (len < in->rest.len && str_find(chars, in->rest.at[len]) < chars.len)
		len++;
	refuse_if(in, len > max || (len < in->rest.len && in->rest.at[len] != end), why);
	struct str field = take(in, len);
	take(in, 1);
	return field;
}

static void take_v1_ip(struct cursor *in, int family, struct addr *out)
{
	static const char why[] = "version 1: an address that is none of the announced family";
	bool is_v6 = family == AF_INET6;
	struct str chars = is_v6 ? STR("0123456789abcdefABCDEF:.") : STR("0123456789.");
	size_t max = is_v6 ? INET6_ADDRSTRLEN - 1 : INET_ADDRSTRLEN - 1;
	struct str field = take_field(in, chars, max, ' ', why);
	refuse_if(in, is_well(in) && !addr_parse_ip(field, family, 0, out), why);
}

static uint16_t take_v1_port(struct cursor *in, char end)
{
	static const char why[] = "version 1: a port that is no number from 0 to 65535";
	uint64_t port = 0;
	struct str field = take_field(in, STR("0123456789"), 5, end, why);
	bool is_number = str_to_u64(field, &port) && port <= UINT16_MAX;
	refuse_if(in, !is_number || (field.len > 1 && field.at[0] == '0'), why);
	return (uint16_t)port;
}

static void take_v1_addresses(struct cursor *in, int family, struct proxy_header *out)
{
	take_v1_ip(in, family, &out->source);
	take_v1_ip(in, family, &out->destination);
	uint16_t source = take_v1_port(in, ' ');
	uint16_t destination = take_v1_port(in, '\r');
	take_literal(in, STR("\n"), "version 1: CR without LF");
	addr_set_port(&out->source, source);
	addr_set_port(&out->destination, destination);
}

// Whatever a sender adds behind UNKNOWN is to be ignored.
static void skip_line(struct cursor *in)
{
	if (!is_next(in, '\r'))
		take_literal(in, STR(" "), no_family);
	do
		take(in, str_find(in->rest, '\r') + 1);
	while (is_well(in) && !is_next(in, '\n'));
	take(in, 1);
}

static void take_v1(struct cursor *in, struct proxy_header *out)
{
	in->rest = str_take(in->rest, V1_MAX);
	bool is_full = in->rest.len == V1_MAX;
	take_literal(in, STR("PROXY "), no_header);
	out->is_local = is_next(in, 'U');
	if (out->is_local) {
		take_literal(in, STR("UNKNOWN"), no_family);
		skip_line(in);
	} else {
		take_literal(in, STR("TCP"), no_family);
		int family = is_next(in, '6') ? AF_INET6 : AF_INET;
		take_literal(in, family == AF_INET6 ? STR("6 ") : STR("4 "), no_family);
		take_v1_addresses(in, family, out);
	}
	if (in->result == PROXY_INCOMPLETE && is_full) {
		in->result = PROXY_BAD;
		in->why = "version 1: no CR LF within 107 bytes";
	}
}

// ---- version 2 ----------------------------------------------------------

static struct addr v2_addr(int family, const char *ip, const char *port)
{
	struct addr addr = {0};
	addr.any.sa_family = (sa_family_t)family;
	if (family == AF_INET6) {
		memcpy(&addr.v6.sin6_addr, ip, sizeof(addr.v6.sin6_addr));
		memcpy(&addr.v6.sin6_port, port, sizeof(addr.v6.sin6_port));
	} else {
		memcpy(&addr.v4.sin_addr, ip, sizeof(addr.v4.sin_addr));
		memcpy(&addr.v4.sin_port, port, sizeof(addr.v4.sin_port));
	}
	return addr_of(&addr.any);
}

static uint32_t number_at(const char *at, size_t len)
{
	uint32_t number = 0;
	for (size_t i = 0; i < len; i++)
		number = number << 8 | (uint8_t)at[i];
	return number;
}

// CRC-32C (RFC 4960 appendix B) with the checksum itself taken as zeros; bit by
// bit, since a header has some hundred bytes and a connection one header.
static uint32_t crc32c(struct str bytes, const char *checksum)
{
	const uint32_t polynomial = 0x82f63b78;
	uint32_t crc = UINT32_MAX;
	for (const char *at = bytes.at; at < bytes.at + bytes.len; at++) {
		crc ^= at >= checksum && at < checksum + CRC32C_LEN ? 0 : (uint8_t)*at;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
	}
	return ~crc;
}

// Walks the extensions; of several checksums the last one counts.
static void judge_tlvs(struct cursor *in, struct str header, struct str tlvs)
{
	const char *checksum = NULL;
	while (is_well(in) && tlvs.len) {
		bool has_head = tlvs.len >= TLV_HEAD;
		size_t len = has_head ? number_at(tlvs.at + 1, 2) : 0;
		bool is_crc32c = tlvs.at[0] == TLV_CRC32C;
		refuse_if(in, !has_head || len > tlvs.len - TLV_HEAD,
		    "version 2: an extension that is cut off");
		refuse_if(in, is_crc32c && len != CRC32C_LEN,
		    "version 2: a checksum that has not four bytes");
		if (is_well(in) && is_crc32c)
			checksum = tlvs.at + TLV_HEAD;
		tlvs = str_drop(tlvs, TLV_HEAD + len);
	}
	if (is_well(in) && checksum)
		refuse_if(in, crc32c(header, checksum) != number_at(checksum, CRC32C_LEN),
		    "version 2: the checksum is wrong");
}

static const char *family_problem(unsigned family, unsigned transport)
{
	if (family > FAMILY_UNIX || transport > TRANSPORT_DGRAM)
		return "version 2: an unknown address family or protocol";
	if (family == FAMILY_UNIX)
		return "version 2: the client is said to come from a UNIX socket";
	if (transport == TRANSPORT_DGRAM)
		return "version 2: the client is said to come by UDP";
	return NULL;
}

static void take_v2_block(struct cursor *in, struct str header, struct proxy_header *out)
{
	unsigned family = (uint8_t)header.at[13] >> 4;
	size_t ip = family == FAMILY_INET6 ? 16 : 4;
	int af = family == FAMILY_INET6 ? AF_INET6 : AF_INET;
	const char *at = header.at + BLOCK_AT;
	out->source = v2_addr(af, at, at + 2 * ip);
	out->destination = v2_addr(af, at + ip, at + 2 * ip + 2);
	judge_tlvs(in, header, str_drop(header, BLOCK_AT + 2 * ip + 4));
}

// How many bytes of addresses the block must have.  0: it is not looked at; of
// LOCAL everything is to be ignored, and of UNSPEC, family or protocol, what it
// says of addresses (section 2.2).
static size_t take_v2_family(struct cursor *in, unsigned command)
{
	uint8_t byte = take_byte(in);
	unsigned family = byte >> 4, transport = byte & 15;
	if (command == COMMAND_LOCAL)
		return 0;
	const char *problem = family_problem(family, transport);
	refuse_if(in, problem, problem);
	if (family == FAMILY_UNSPEC || transport == TRANSPORT_UNSPEC)
		return 0;
	return family == FAMILY_INET6 ? INET6_LEN : INET_LEN;
}

static void take_v2(struct cursor *in, struct proxy_header *out)
{
	const char *header = in->rest.at;
	take_literal(in, signature, no_header);
	uint8_t version = take_byte(in);
	unsigned command = version & 15;
	refuse_if(in, version >> 4 != VERSION_2, "neither version 1 nor 2");
	refuse_if(in, command > COMMAND_PROXY, "version 2: an unknown command");
	size_t needed = take_v2_family(in, command);
	struct str len_bytes = take(in, 2);
	size_t len = number_at(len_bytes.at, len_bytes.len);
	refuse_if(in, len > BLOCK_MAX, "version 2: longer than 2064 bytes");
	refuse_if(in, len < needed, "version 2: too short for its addresses");
	take(in, len);
	out->is_local = needed == 0;
	if (is_well(in) && needed)
		take_v2_block(in, (struct str){header, BLOCK_AT + len}, out);
}

enum proxy_result proxy_header_parse(struct str bytes, struct proxy_header *out, size_t *out_used)
{
	struct cursor in = {.rest = bytes, .result = PROXY_DONE};
	*out = (struct proxy_header){0};
	if (is_next(&in, 'P'))
		take_v1(&in, out);
	else
		take_v2(&in, out);
	out->why = in.why;
	*out_used = is_well(&in) ? (size_t)(in.rest.at - bytes.at) : 0;
	return in.result;
}
