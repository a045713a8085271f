// avpair.c: walking and writing AV pairs.  See avpair.h.
#include "proxy/pop3/ntlm/avpair.h"

#include "proxy/pop3/ntlm/message.h"

enum { PAIR = 4 }; // bytes before the value

// Lengths of the values that have one.
static const size_t lengths[] = {
    [NTLM_AV_flags] = 4,
    [NTLM_AV_time] = 8,
    [NTLM_AV_binding] = 16,
};
enum { KNOWN = sizeof(lengths) / sizeof(lengths[0]) };

// The end is a pair like the others.
static bool take_any(struct str *list, unsigned *out_id, struct str *out_value)
{
	if (list->len < PAIR)
		return false;
	size_t len = ntlm_u16(*list, 2);
	struct str rest = str_drop(*list, PAIR);
	if (len > rest.len)
		return false;
	*out_id = ntlm_u16(*list, 0);
	*out_value = str_take(rest, len);
	*list = str_drop(rest, len);
	return true;
}

bool ntlm_av_take(struct str *list, unsigned *out_id, struct str *out_value)
{
	return take_any(list, out_id, out_value) && *out_id != NTLM_AV_end;
}

bool ntlm_av_is_sound(struct str list)
{
	unsigned id, seen = 0;
	struct str value;
	while (take_any(&list, &id, &value)) {
		if (id == NTLM_AV_end)
			return true;
		if (id >= KNOWN)
			continue;
		if (seen & 1u << id || (lengths[id] && lengths[id] != value.len))
			return false;
		seen |= 1u << id;
	}
	return false;
}

bool ntlm_av_find(struct str list, unsigned id, struct str *out_value)
{
	unsigned found;
	while (ntlm_av_take(&list, &found, out_value))
		if (found == id)
			return true;
	*out_value = STR("");
	return false;
}

uint32_t ntlm_av_flags(struct str list)
{
	struct str value;
	return ntlm_av_find(list, NTLM_AV_flags, &value) ? ntlm_u32(value, 0) : 0;
}

void ntlm_av_add(struct text *out, unsigned id, struct str value)
{
	ntlm_add_u16(out, id);
	ntlm_add_u16(out, (unsigned)value.len);
	text_add(out, value);
}

void ntlm_av_add_flags(struct text *out, uint32_t flags)
{
	ntlm_add_u16(out, NTLM_AV_flags);
	ntlm_add_u16(out, sizeof(flags));
	ntlm_add_u32(out, flags);
}
