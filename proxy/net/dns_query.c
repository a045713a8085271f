// dns_query.c: writing a question.  See dns_query.h.
#include "proxy/net/dns_query.h"

enum {
	FLAGS_AT = 2,
	NUM_QUESTIONS_AT = 4,
	NUM_ADDITIONAL_AT = 10,
	RECURSION_DESIRED = 0x01,
	TYPE_OPT = 41,
	CLASS_IN = 1,
	REVERSE_V4 = 4,
	REVERSE_V6 = 16,
};

// ---- names --------------------------------------------------------------

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_host_char(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_';
}

static bool is_host_label(struct str label)
{
	if (!label.len || label.len > DNS_LABEL_MAX)
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!is_host_char(label.at[i]))
			return false;
	return label.at[0] != '-' && label.at[label.len - 1] != '-';
}

// As inet_aton and its relatives would take it for part of an address.
static bool is_number(struct str label)
{
	bool is_hex = str_starts_nocase(label, STR("0x"));
	for (size_t i = is_hex ? 2 : 0; i < label.len; i++)
		if (is_hex ? !is_hex_digit(label.at[i]) : !is_digit(label.at[i]))
			return false;
	return true;
}

bool dns_name_is_host(struct str s)
{
	struct str label = STR("");
	if (s.len > DNS_NAME_MAX)
		return false;
	for (bool more = true; more;) {
		more = str_cut(s, '.', &label, &s);
		if (!is_host_label(label))
			return false;
	}
	return !is_number(label);
}

// ---- the message --------------------------------------------------------

static void put(struct dns_query *query, struct str bytes)
{
	memcpy(query->at + query->len, bytes.at, bytes.len);
	query->len += bytes.len;
}

static void put_byte(struct dns_query *query, unsigned byte)
{
	query->at[query->len++] = (unsigned char)byte;
}

static void put_u16(struct dns_query *query, unsigned number)
{
	put_byte(query, number >> 8);
	put_byte(query, number & 0xff);
}

static void put_name(struct dns_query *query, struct str name)
{
	for (bool more = true; more;) {
		struct str label;
		more = str_cut(name, '.', &label, &name);
		put_byte(query, (unsigned)label.len);
		put(query, label);
	}
	put_byte(query, 0);
}

// RFC 6891 section 6.1.2: the root's name, type, size; nothing else set.
static void put_edns(struct dns_query *query)
{
	put_byte(query, 0);
	put_u16(query, TYPE_OPT);
	put_u16(query, DNS_UDP_MAX);
	query->len += DNS_OPT_SIZE - 5;
	query->at[NUM_ADDITIONAL_AT + 1] = 1;
}

static void make(struct dns_query *query, enum dns_type type, struct str name)
{
	*query = (struct dns_query){.len = DNS_HEADER_SIZE};
	query->at[FLAGS_AT] = RECURSION_DESIRED;
	query->at[NUM_QUESTIONS_AT + 1] = 1;
	put_name(query, name);
	put_u16(query, type);
	put_u16(query, CLASS_IN);
	query->question_len = query->len - DNS_HEADER_SIZE;
	put_edns(query);
}

bool dns_query_host(struct dns_query *out_query, enum dns_type type, struct str name)
{
	if (!dns_name_is_host(name))
		return false;
	make(out_query, type, name);
	return true;
}

void dns_query_reverse(struct dns_query *out_query, const struct addr *addr)
{
	bool is_v6 = addr->any.sa_family == AF_INET6;
	const unsigned char *bytes =
	    is_v6 ? addr->v6.sin6_addr.s6_addr : (const unsigned char *)&addr->v4.sin_addr;
	char room[DNS_WIRE_MAX];
	struct text name = TEXT(room);
	for (size_t i = is_v6 ? REVERSE_V6 : REVERSE_V4; i--;)
		if (is_v6)
			text_addf(&name, "%x.%x.", bytes[i] & 15U, bytes[i] >> 4);
		else
			text_addf(&name, "%u.", bytes[i]);
	text_add(&name, is_v6 ? STR("ip6.arpa") : STR("in-addr.arpa"));
	make(out_query, DNS_TYPE_PTR, text_str(&name));
}

bool dns_query_has_edns(const struct dns_query *query)
{
	return query->len > DNS_HEADER_SIZE + query->question_len;
}

void dns_query_drop_edns(struct dns_query *query)
{
	query->len = DNS_HEADER_SIZE + query->question_len;
	query->at[NUM_ADDITIONAL_AT + 1] = 0;
}

void dns_query_set_id(struct dns_query *query, uint16_t id)
{
	query->at[0] = (unsigned char)(id >> 8);
	query->at[1] = (unsigned char)id;
}
