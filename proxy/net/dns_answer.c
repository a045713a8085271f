// dns_answer.c: reading an answer.  See dns_answer.h.
//
// Every place in the message is a size_t that only `has` lets through, so
// nothing is read beyond the end.  A name is decoded into a room of the longest
// legal size, in lower case and still in labels: two names are the same exactly
// if these bytes are.  A compression pointer must lead to before where the name
// (or the piece that the last pointer led to) began, so that each step is
// nearer to the beginning and none can be taken twice.  No name needs more of
// them than it can have labels; one that has more is refused.
//
// The first pass over the records checks them all; later ones look for one
// kind.  At most DNS_RECORDS_MAX records by DNS_CHAIN_MAX + 3 passes.
#include "proxy/net/dns_answer.h"

enum {
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	CLASS_IN = 1,
	RECORD_FIXED = 10, // type, class, lifetime, length of what follows
	SOA_NAMES = 2,
	SOA_NUMBERS = 5 * 4, // behind the names; the last is the minimum
	SOA_MINIMUM = 4 * 4,
	FLAG_ANSWER = 0x8000,
	FLAGS_OPCODE = 0x7800,
	FLAG_TRUNCATED = 0x0200,
	FLAGS_RCODE = 0x000f,
	POINTER = 0xc0,
	POINTERS_MAX = DNS_WIRE_MAX / 2, // each label is two bytes at least
};

// A name as it is on the wire, uncompressed, in lower case.
struct wire_name {
	unsigned char at[DNS_WIRE_MAX];
	size_t len;
};

struct record {
	struct wire_name owner;
	unsigned type, class;
	uint32_t ttl_s;
	size_t start, end; // its own bytes
};

struct section {
	size_t at;
	unsigned num;
};

struct reader {
	struct str message;
	struct section answers, authority;
	struct wire_name name; // asked for; later what the chain led to
	unsigned type;
	struct dns_answer *out;
};

// ---- bytes --------------------------------------------------------------

static bool has(struct str message, size_t at, size_t len)
{
	return at <= message.len && message.len - at >= len;
}

static unsigned byte_at(struct str message, size_t at)
{
	return (unsigned char)message.at[at];
}

static unsigned u16_at(struct str message, size_t at)
{
	return byte_at(message, at) << 8 | byte_at(message, at + 1);
}

static uint32_t u32_at(struct str message, size_t at)
{
	return (uint32_t)u16_at(message, at) << 16 | u16_at(message, at + 2);
}

static unsigned char lower(unsigned byte)
{
	return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

// ---- names --------------------------------------------------------------

// A label and the byte before it that says how long it is.
static bool take_label(struct str message, size_t at, struct wire_name *name)
{
	size_t len = byte_at(message, at);
	if (!has(message, at, len + 1) || name->len + len + 1 > sizeof(name->at))
		return false;
	name->at[name->len++] = (unsigned char)len;
	for (size_t i = 1; i <= len; i++)
		name->at[name->len++] = lower(byte_at(message, at + i));
	return true;
}

// Where the pointer at `at` leads; `from` is where the piece began.
static bool take_pointer(struct str message, size_t at, size_t from, size_t *out_to)
{
	if (!has(message, at, 2))
		return false;
	*out_to = u16_at(message, at) & 0x3fff;
	return *out_to < from;
}

// Decodes the name at *at; *at is behind it then.
static bool take_name(struct str message, size_t *at, struct wire_name *out)
{
	size_t here = *at, from = *at, behind = 0;
	unsigned pointers = 0;
	out->len = 0;
	while (has(message, here, 1)) {
		unsigned byte = byte_at(message, here);
		if ((byte & POINTER) == POINTER) {
			behind = behind ? behind : here + 2;
			if (++pointers > POINTERS_MAX || !take_pointer(message, here, from, &from))
				return false;
			here = from;
			continue;
		}
		if (byte & POINTER || !take_label(message, here, out))
			return false;
		here += byte + 1;
		if (!byte) {
			*at = behind ? behind : here;
			return true;
		}
	}
	return false;
}

static bool same_name(const struct wire_name *a, const struct wire_name *b)
{
	return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

// The name with dots.  False when a label holds one itself, so that the text
// would be another name's.
static bool print_name(const struct wire_name *name, struct dns_name *out)
{
	bool is_clear = true;
	out->len = 0;
	for (size_t at = 0; name->at[at]; at += name->at[at] + 1U) {
		struct str label = {(const char *)name->at + at + 1, name->at[at]};
		is_clear &= str_find(label, '.') == label.len;
		if (out->len)
			out->at[out->len++] = '.';
		memcpy(out->at + out->len, label.at, label.len);
		out->len = (unsigned char)(out->len + label.len);
	}
	return is_clear;
}

// ---- records ------------------------------------------------------------

static bool take_record(struct str message, size_t *at, struct record *out)
{
	if (!take_name(message, at, &out->owner) || !has(message, *at, RECORD_FIXED))
		return false;
	out->type = u16_at(message, *at);
	out->class = u16_at(message, *at + 2);
	out->ttl_s = u32_at(message, *at + 4);
	if (out->ttl_s > INT32_MAX) // RFC 2181 section 8
		out->ttl_s = 0;
	size_t len = u16_at(message, *at + 8);
	out->start = *at + RECORD_FIXED;
	out->end = out->start + len;
	*at = out->end;
	return has(message, out->start, len);
}

// The next record of this type that belongs to the name; the section is what
// follows it then.
static bool next_record(
    const struct reader *reader, struct section *rest, unsigned type, struct record *out)
{
	while (rest->num && take_record(reader->message, &rest->at, out)) {
		rest->num--;
		if (out->type == type && out->class == CLASS_IN &&
		    (type == TYPE_SOA || same_name(&out->owner, &reader->name)))
			return true;
	}
	return false;
}

// The name that is all of a record.
static bool name_of(const struct reader *reader, const struct record *record, struct wire_name *out)
{
	size_t at = record->start;
	return take_name(reader->message, &at, out) && at == record->end;
}

static void use_ttl(struct reader *reader, uint32_t ttl_s)
{
	if (ttl_s < reader->out->ttl_s)
		reader->out->ttl_s = ttl_s;
}

// ---- what was asked for -------------------------------------------------

static bool keep_name(struct reader *reader, const struct record *record)
{
	struct dns_answer *out = reader->out;
	struct wire_name wire;
	struct dns_name name;
	if (!name_of(reader, record, &wire))
		return false;
	if (!print_name(&wire, &name) || !dns_name_is_host(dns_name_str(&name))) {
		if (!out->num_illegal++)
			out->illegal = name;
	} else if (out->num_names == DNS_NAMES_MAX) {
		out->num_ignored++;
	} else {
		out->names[out->num_names++] = name;
	}
	return true;
}

static bool keep_v4(struct reader *reader, const struct record *record)
{
	struct dns_answer *out = reader->out;
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	if (record->end - record->start != sizeof(v4.sin_addr))
		return false;
	memcpy(&v4.sin_addr, reader->message.at + record->start, sizeof(v4.sin_addr));
	if (out->num_addrs < DNS_ADDRS_MAX)
		out->addrs[out->num_addrs++] = addr_of((struct sockaddr *)&v4);
	return true;
}

static bool keep_v6(struct reader *reader, const struct record *record)
{
	struct dns_answer *out = reader->out;
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (record->end - record->start != sizeof(v6.sin6_addr))
		return false;
	memcpy(&v6.sin6_addr, reader->message.at + record->start, sizeof(v6.sin6_addr));
	if (out->num_addrs < DNS_ADDRS_MAX)
		out->addrs[out->num_addrs++] = addr_of((struct sockaddr *)&v6);
	return true;
}

static bool keep(struct reader *reader, const struct record *record)
{
	use_ttl(reader, record->ttl_s);
	switch ((enum dns_type)reader->type) {
	case DNS_TYPE_A: return keep_v4(reader, record);
	case DNS_TYPE_AAAA: return keep_v6(reader, record);
	case DNS_TYPE_PTR: return keep_name(reader, record);
	}
	return false;
}

// ---- the message --------------------------------------------------------

static bool follow_chain(struct reader *reader)
{
	struct record record;
	for (int i = 0; i <= DNS_CHAIN_MAX; i++) {
		struct section rest = reader->answers;
		if (!next_record(reader, &rest, TYPE_CNAME, &record))
			return true;
		use_ttl(reader, record.ttl_s);
		if (!name_of(reader, &record, &reader->name))
			return false;
	}
	return false;
}

// Whether what was asked for is there, in *out_found; false when it cannot be read.
static bool collect(struct reader *reader, bool *out_found)
{
	struct section rest = reader->answers;
	struct record record;
	while (next_record(reader, &rest, reader->type, &record)) {
		*out_found = true;
		if (!keep(reader, &record))
			return false;
	}
	return true;
}

// For how long to believe that there is nothing.
static bool read_soa(struct reader *reader)
{
	struct section rest = reader->authority;
	struct wire_name name;
	struct record record;
	if (!next_record(reader, &rest, TYPE_SOA, &record)) {
		reader->out->ttl_s = 0;
		return true;
	}
	size_t at = record.start;
	for (int i = 0; i < SOA_NAMES; i++)
		if (!take_name(reader->message, &at, &name))
			return false;
	if (at + SOA_NUMBERS != record.end)
		return false;
	use_ttl(reader, record.ttl_s);
	use_ttl(reader, u32_at(reader->message, at + SOA_MINIMUM));
	return true;
}

// Checks each record of a section; *at is behind the last one then.
static bool check_section(const struct reader *reader, struct section section, size_t *at)
{
	struct record record;
	for (*at = section.at; section.num; section.num--)
		if (!take_record(reader->message, at, &record))
			return false;
	return true;
}

// Finds the sections.  The authority's matters only where there is no answer, so
// it may be wrong or, behind too many answers, out of reach otherwise.
static bool find_sections(struct reader *reader, size_t at, bool *out_has_authority)
{
	struct str message = reader->message;
	unsigned num = u16_at(message, 6);
	bool all = num <= DNS_RECORDS_MAX;
	reader->answers = (struct section){at, all ? num : DNS_RECORDS_MAX};
	if (!check_section(reader, reader->answers, &at))
		return false;
	num = u16_at(message, 8);
	reader->authority = (struct section){at, num < DNS_RECORDS_MAX ? num : DNS_RECORDS_MAX};
	*out_has_authority = all && check_section(reader, reader->authority, &at);
	return true;
}

// With `nothing` the server says that there is nothing, whatever it adds
// (RFC 6604 section 3).
static enum dns_status read_records(struct reader *reader, size_t at, bool nothing)
{
	bool found = false, has_authority;
	reader->out->ttl_s = UINT32_MAX;
	if (!find_sections(reader, at, &has_authority) || !follow_chain(reader) ||
	    (!nothing && !collect(reader, &found)))
		return DNS_MALFORMED;
	if (found)
		return DNS_OK;
	if (!has_authority || !read_soa(reader))
		return DNS_MALFORMED;
	return nothing ? DNS_NXDOMAIN : DNS_NODATA;
}

// Whether the message is an answer, whole, and to this question.
static bool is_answer_to(struct str message, struct str question)
{
	if (!has(message, DNS_HEADER_SIZE, question.len))
		return false;
	unsigned flags = u16_at(message, 2);
	if ((flags & (FLAG_ANSWER | FLAGS_OPCODE | FLAG_TRUNCATED)) != FLAG_ANSWER)
		return false;
	// Lengths of labels are below every letter, so that folding changes none.
	struct str echo = str_take(str_drop(message, DNS_HEADER_SIZE), question.len);
	size_t name_len = question.len - 4;
	return u16_at(message, 4) == 1 &&
	       str_eq_nocase(str_take(echo, name_len), str_take(question, name_len)) &&
	       str_eq(str_drop(echo, name_len), str_drop(question, name_len));
}

static enum dns_status parse(struct reader *reader, struct str question)
{
	struct str message = reader->message;
	size_t at = DNS_HEADER_SIZE;
	if (!is_answer_to(message, question) || !take_name(message, &at, &reader->name))
		return DNS_MALFORMED;
	at += 4;
	switch (u16_at(message, 2) & FLAGS_RCODE) {
	case 0: return read_records(reader, at, false);
	case 1: return DNS_FORMERR;
	case 2: return DNS_SERVFAIL;
	case 3: return read_records(reader, at, true);
	default: return DNS_REFUSED;
	}
}

static bool has_content(enum dns_status status)
{
	return status == DNS_OK || status == DNS_NXDOMAIN || status == DNS_NODATA;
}

void dns_answer_parse(struct str message, const struct dns_query *query, struct dns_answer *out)
{
	struct reader reader = {.message = message, .type = dns_query_type(query), .out = out};
	*out = (struct dns_answer){0};
	out->status = parse(&reader, dns_query_question(query));
	if (!has_content(out->status))
		*out = (struct dns_answer){.status = out->status};
}
