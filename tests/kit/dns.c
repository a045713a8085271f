// dns.c: building DNS answers.  See dns.h.
#include "tests/kit/dns.h"

#include "tests/kit/check.h"

enum { QUESTION_AT = DNS_HEADER_SIZE, NUM_ANSWERS_AT = 6, NUM_AUTHORITY_AT = 8 };

static void put(struct dns_message *message, struct str bytes)
{
	assert_true(bytes.len <= sizeof(message->at) - message->len);
	memcpy(message->at + message->len, bytes.at, bytes.len);
	message->len += bytes.len;
}

static void put_u16(struct dns_message *message, unsigned number)
{
	put(message, BYTES((char)(number >> 8), (char)number));
}

static void put_u32(struct dns_message *message, uint32_t number)
{
	put_u16(message, number >> 16);
	put_u16(message, number & 0xffff);
}

static void put_name(struct dns_message *message, const char *name)
{
	struct str label, rest = str_of(name);
	if (str_eq(rest, STR("@"))) {
		put_u16(message, 0xc000 | QUESTION_AT);
		return;
	}
	while (rest.len) {
		str_cut(rest, '.', &label, &rest);
		put(message, BYTES((char)label.len));
		put(message, label);
	}
	put(message, BYTES(0));
}

static size_t question_end(const struct dns_message *message)
{
	size_t at = QUESTION_AT;
	while (message->at[at])
		at += message->at[at] + 1U;
	return at + 5;
}

void dns_begin(struct dns_message *message, struct str query, unsigned rcode)
{
	message->len = 0;
	put(message, query);
	message->len = question_end(message);
	message->at[2] = (unsigned char)(message->at[2] | 0x80);
	message->at[3] = (unsigned char)(0x80 | rcode);
	memset(message->at + NUM_ANSWERS_AT, 0, DNS_HEADER_SIZE - NUM_ANSWERS_AT);
}

static void count(struct dns_message *message, size_t at)
{
	if (!++message->at[at + 1])
		message->at[at]++;
}

static void put_record(
    struct dns_message *message, const char *owner, unsigned type, uint32_t ttl_s)
{
	put_name(message, owner);
	put_u16(message, type);
	put_u16(message, 1);
	put_u32(message, ttl_s);
}

void dns_add(
    struct dns_message *message, const char *owner, unsigned type, uint32_t ttl_s, struct str bytes)
{
	count(message, NUM_ANSWERS_AT);
	put_record(message, owner, type, ttl_s);
	put_u16(message, (unsigned)bytes.len);
	put(message, bytes);
}

void dns_add_name(
    struct dns_message *message, const char *owner, unsigned type, uint32_t ttl_s, const char *name)
{
	struct dns_message wire;
	wire.len = 0;
	put_name(&wire, name);
	dns_add(message, owner, type, ttl_s, dns_message_str(&wire));
}

void dns_add_addr(struct dns_message *message, const char *owner, uint32_t ttl_s, const char *addr)
{
	struct addr parsed;
	assert_true(addr_parse(str_of(addr), 1, &parsed));
	if (parsed.any.sa_family == AF_INET)
		dns_add(message, owner, DNS_TYPE_A, ttl_s,
		    (struct str){(const char *)&parsed.v4.sin_addr, sizeof(parsed.v4.sin_addr)});
	else
		dns_add(message, owner, DNS_TYPE_AAAA, ttl_s,
		    (struct str){(const char *)&parsed.v6.sin6_addr, sizeof(parsed.v6.sin6_addr)});
}

void dns_add_soa(struct dns_message *message, uint32_t ttl_s, uint32_t minimum_s)
{
	count(message, NUM_AUTHORITY_AT);
	put_record(message, "@", DNS_SOA, ttl_s);
	put_u16(message, 2 + 6 + 5 * 4);
	put_name(message, "@");
	put_name(message, "post");
	for (int i = 0; i < 4; i++)
		put_u32(message, 1);
	put_u32(message, minimum_s);
}
