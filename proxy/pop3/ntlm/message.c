// message.c: reading and writing messages.  See message.h.
#include "proxy/pop3/ntlm/message.h"

#include "proxy/pop3/ntlm/avpair.h"

// Lengths of headers, and where in them things stand.
enum {
	SIGNATURE = 8,

	NEGOTIATE_LEAST = 16, // Windows 9x ends here
	NEGOTIATE_FLAGS = 12,
	NEGOTIATE_DOMAIN = 16,
	NEGOTIATE_HEADER = 32,
	NEGOTIATE_SIZE = 40, // with a version, which gss-ntlmssp does not do without

	CHALLENGE_LEAST = 32, // without the info
	CHALLENGE_TARGET = 12,
	CHALLENGE_FLAGS = 20,
	CHALLENGE_CHALLENGE = 24,
	CHALLENGE_INFO = 40,
	CHALLENGE_VERSION = 48,
	CHALLENGE_HEADER = 56,

	AUTHENTICATE_LM = 12,
	AUTHENTICATE_NT = 20,
	AUTHENTICATE_DOMAIN = 28,
	AUTHENTICATE_USER = 36,
	AUTHENTICATE_WORKSTATION = 44,
	AUTHENTICATE_LEAST = 52, // Windows 9x ends here
	AUTHENTICATE_KEY = 52,
	AUTHENTICATE_FLAGS = 60,
	AUTHENTICATE_VERSION = 64, // without version and MIC, payload begins here
};

#define SIGNATURE_BYTES ((struct str){"NTLMSSP", SIGNATURE})

// ---- numbers ------------------------------------------------------------

uint32_t ntlm_u16(struct str s, size_t at)
{
	return (uint32_t)((unsigned char)s.at[at] | (unsigned char)s.at[at + 1] << 8);
}

uint32_t ntlm_u32(struct str s, size_t at)
{
	return ntlm_u16(s, at) | ntlm_u16(s, at + 2) << 16;
}

void ntlm_add_u16(struct text *out, unsigned number)
{
	text_add_char(out, (char)(number & 0xff));
	text_add_char(out, (char)(number >> 8 & 0xff));
}

void ntlm_add_u32(struct text *out, uint32_t number)
{
	ntlm_add_u16(out, number & 0xffff);
	ntlm_add_u16(out, number >> 16);
}

// ---- reading ------------------------------------------------------------

static bool refuse(const char **why, const char *reason)
{
	*why = reason;
	return false;
}

static bool is_message(struct str message, uint32_t type, size_t least)
{
	return message.len >= least && message.len <= NTLM_MESSAGE_MAX &&
	       str_eq(str_take(message, SIGNATURE), SIGNATURE_BYTES) &&
	       ntlm_u32(message, SIGNATURE) == type;
}

// The payload that the field at `at` points to; it must begin at `floor` or later.
static bool read_field(struct str message, size_t at, size_t floor, struct str *out)
{
	size_t len = ntlm_u16(message, at), offset = ntlm_u32(message, at + 4);
	*out = STR("");
	if (len == 0)
		return true;
	if (offset < floor || offset > message.len || len > message.len - offset)
		return false;
	*out = str_take(str_drop(message, offset), len);
	return true;
}

bool ntlm_parse_negotiate(struct str message, struct ntlm_negotiate *out, const char **why)
{
	*out = (struct ntlm_negotiate){.domain = STR("")};
	if (!is_message(message, 1, NEGOTIATE_LEAST))
		return refuse(why, "not an NTLM message of type 1");
	out->flags = ntlm_u32(message, NEGOTIATE_FLAGS);
	if (!(out->flags & NTLM_DOMAIN_SUPPLIED) || message.len < NEGOTIATE_HEADER)
		return true;
	return read_field(message, NEGOTIATE_DOMAIN, NEGOTIATE_HEADER, &out->domain) ||
	       refuse(why, "type 1 points outside itself");
}

bool ntlm_parse_challenge(struct str message, struct ntlm_challenge *out, const char **why)
{
	*out = (struct ntlm_challenge){.target = STR(""), .info = STR("")};
	if (!is_message(message, 2, CHALLENGE_LEAST))
		return refuse(why, "not an NTLM message of type 2");
	out->flags = ntlm_u32(message, CHALLENGE_FLAGS);
	memcpy(out->challenge, message.at + CHALLENGE_CHALLENGE, sizeof(out->challenge));
	if (!read_field(message, CHALLENGE_TARGET, CHALLENGE_LEAST, &out->target))
		return refuse(why, "type 2 points outside itself");
	if (message.len >= CHALLENGE_HEADER)
		memcpy(out->version, message.at + CHALLENGE_VERSION, sizeof(out->version));
	if (!(out->flags & NTLM_TARGET_INFO) || message.len < CHALLENGE_VERSION)
		return true;
	if (!read_field(message, CHALLENGE_INFO, CHALLENGE_VERSION, &out->info))
		return refuse(why, "type 2 points outside itself");
	if (out->info.len && !ntlm_av_is_sound(out->info))
		return refuse(why, "type 2 has malformed AV pairs");
	return true;
}

// Where the first of some payloads begins; the end of the message without any.
static size_t first_payload(struct str message, const struct str *const *fields, size_t num)
{
	size_t first = message.len;
	for (size_t i = 0; i < num; i++) {
		size_t at = fields[i]->len ? (size_t)(fields[i]->at - message.at) : first;
		first = at < first ? at : first;
	}
	return first;
}

// What follows the five fields that all clients send: how much of it there is shows
// in where the payload begins.
static bool read_rest(struct str message, size_t payload, struct ntlm_authenticate *out)
{
	if (payload < AUTHENTICATE_VERSION)
		return true;
	if (!read_field(message, AUTHENTICATE_KEY, AUTHENTICATE_VERSION, &out->key))
		return false;
	const struct str *key = &out->key;
	size_t key_at = first_payload(message, &key, 1);
	payload = key_at < payload ? key_at : payload;
	out->flags = ntlm_u32(message, AUTHENTICATE_FLAGS);
	out->has_mic = payload >= NTLM_MIC_END;
	if (payload >= NTLM_MIC_AT)
		memcpy(out->version, message.at + AUTHENTICATE_VERSION, sizeof(out->version));
	return true;
}

bool ntlm_parse_authenticate(struct str message, struct ntlm_authenticate *out, const char **why)
{
	static const size_t places[] = {AUTHENTICATE_LM, AUTHENTICATE_NT, AUTHENTICATE_DOMAIN,
	    AUTHENTICATE_USER, AUTHENTICATE_WORKSTATION};
	enum { FIELDS = sizeof(places) / sizeof(places[0]) };
	struct str *const fields[FIELDS] = {
	    &out->lm, &out->nt, &out->domain, &out->user, &out->workstation};
	*out = (struct ntlm_authenticate){.key = STR("")};
	if (!is_message(message, 3, AUTHENTICATE_LEAST))
		return refuse(why, "not an NTLM message of type 3");
	for (size_t i = 0; i < FIELDS; i++)
		if (!read_field(message, places[i], AUTHENTICATE_LEAST, fields[i]))
			return refuse(why, "type 3 points outside itself");
	size_t payload = first_payload(message, (const struct str *const *)fields, FIELDS);
	return read_rest(message, payload, out) || refuse(why, "type 3 points outside itself");
}

// ---- writing ------------------------------------------------------------

static void begin(struct text *out, uint32_t type)
{
	text_add(out, SIGNATURE_BYTES);
	ntlm_add_u32(out, type);
}

static void add_zeros(struct text *out, size_t num)
{
	while (num--)
		text_add_char(out, '\0');
}

static void add_bytes(struct text *out, const void *bytes, size_t len)
{
	text_add(out, (struct str){bytes, len});
}

static void add_field(struct text *out, size_t len, size_t offset)
{
	ntlm_add_u16(out, (unsigned)len);
	ntlm_add_u16(out, (unsigned)len);
	ntlm_add_u32(out, (uint32_t)offset);
}

void ntlm_write_negotiate(uint32_t flags, struct text *out)
{
	begin(out, 1);
	ntlm_add_u32(out, flags);
	add_zeros(out, NEGOTIATE_SIZE - NEGOTIATE_DOMAIN);
}

void ntlm_write_challenge(const struct ntlm_challenge *challenge, struct text *out)
{
	begin(out, 2);
	add_field(out, challenge->target.len, CHALLENGE_HEADER);
	ntlm_add_u32(out, challenge->flags);
	add_bytes(out, challenge->challenge, sizeof(challenge->challenge));
	add_zeros(out, CHALLENGE_INFO - CHALLENGE_LEAST);
	if (challenge->info.len)
		add_field(out, challenge->info.len, CHALLENGE_HEADER + challenge->target.len);
	else
		add_field(out, 0, 0);
	add_bytes(out, challenge->version, sizeof(challenge->version));
	text_add(out, challenge->target);
	text_add(out, challenge->info);
}

// A field, whose payload lies behind those that stand before it in `order`.
static void add_ordered(
    struct text *out, const struct str *const *order, const struct str *field, size_t header)
{
	size_t offset = header;
	for (; *order != field; order++)
		offset += (*order)->len;
	add_field(out, field->len, offset);
}

void ntlm_write_authenticate(const struct ntlm_authenticate *message, struct text *out)
{
	const struct str *const fields[] = {&message->lm, &message->nt, &message->domain,
	    &message->user, &message->workstation, &message->key};
	const struct str *const order[] = {&message->domain, &message->user, &message->workstation,
	    &message->lm, &message->nt, &message->key};
	enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };
	begin(out, 3);
	for (size_t i = 0; i < FIELDS; i++)
		add_ordered(out, order, fields[i], message->has_mic ? NTLM_MIC_END : NTLM_MIC_AT);
	ntlm_add_u32(out, message->flags);
	add_bytes(out, message->version, sizeof(message->version));
	add_zeros(out, message->has_mic ? NTLM_KEY : 0);
	for (size_t i = 0; i < FIELDS; i++)
		text_add(out, *order[i]);
}
