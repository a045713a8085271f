// helper_reply.c: from a helper's lines to an answer.  See helper_reply.h.
#include "backends/verify/helper_reply.h"

static bool take_verdict(struct helper_reply *reply, struct str value)
{
	if (reply->has_verdict)
		return false;
	reply->has_verdict = true;
	reply->accepted = str_eq(value, STR("Yes"));
	return reply->accepted || str_eq(value, STR("No"));
}

static bool take_digit(char c, uint8_t *byte)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *found = c ? strchr(digits, c) : NULL;
	*byte = (uint8_t)(*byte << 4);
	if (found)
		*byte |= (uint8_t)(found - digits);
	return found;
}

static bool take_key(struct helper_reply *reply, struct str value)
{
	bool sound = reply->accepted && !reply->has_key && value.len == 2 * sizeof(reply->key);
	for (size_t i = 0; i < value.len && sound; i++)
		sound = take_digit(value.at[i], &reply->key[i / 2]);
	reply->has_key = sound;
	return sound;
}

static bool take_reason(struct helper_reply *reply, struct str value)
{
	if (!reply->has_verdict || reply->accepted || reply->said_len)
		return false;
	reply->said_len = str_take(value, sizeof(reply->said)).len;
	memcpy(reply->said, value.at, reply->said_len);
	reply->may_repeat = true;
	return true;
}

// It did not understand the question, and answers again when that goes on.
static bool take_error(struct helper_reply *reply, struct str value)
{
	(void)reply;
	(void)value;
	return false;
}

// Lines that this version does not know do no harm: they add to a verdict.
static bool take_field(struct helper_reply *reply, struct str line)
{
	static const struct {
		struct str name;
		bool (*take)(struct helper_reply *reply, struct str value);
	} fields[] = {
	    {STR("Authenticated"), take_verdict},
	    {STR("User-Session-Key"), take_key},
	    {STR("Authentication-Error"), take_reason},
	    {STR("Error"), take_error},
	};
	struct str name, value;
	if (!str_cut(line, ':', &name, &value) || !value.len || value.at[0] != ' ')
		return false;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (str_eq(name, fields[i].name))
			return fields[i].take(reply, str_drop(value, 1));
	return reply->has_verdict;
}

static enum helper_progress take_line(struct helper_reply *reply, struct str line)
{
	bool is_end = str_eq(line, STR("."));
	bool is_under_way = reply->is_asked && reply->has_verdict;
	if (is_end && reply->may_repeat && !is_under_way) {
		reply->may_repeat = false;
		return HELPER_MORE;
	}
	if (!reply->is_asked)
		return HELPER_BROKEN;
	if (is_end) {
		reply->is_asked = false;
		return reply->has_verdict ? HELPER_WHOLE : HELPER_BROKEN;
	}
	if (!reply->has_verdict)
		reply->may_repeat = false;
	return take_field(reply, line) ? HELPER_MORE : HELPER_BROKEN;
}

void helper_reply_begin(struct helper_reply *reply)
{
	bool may_repeat = reply->may_repeat;
	explicit_bzero(reply, sizeof(*reply));
	reply->is_asked = true;
	reply->may_repeat = may_repeat;
}

size_t helper_reply_take(
    struct helper_reply *reply, struct str bytes, enum helper_progress *out_progress)
{
	size_t used = 0;
	*out_progress = HELPER_MORE;
	while (*out_progress == HELPER_MORE) {
		struct str rest = str_drop(bytes, used);
		size_t len = str_find(rest, '\n');
		if (len > HELPER_LINE_MAX) {
			*out_progress = HELPER_BROKEN;
		} else if (len < rest.len) {
			*out_progress = take_line(reply, str_take(rest, len));
			used += len + 1;
		} else {
			break;
		}
	}
	return used;
}

const char *helper_refusal(struct str said)
{
#define REFUSAL(status, text, why) {STR(#status), STR(text), why},
	static const struct {
		struct str status, text;
		const char *why;
	} refusals[] = {
#include "backends/verify/helper_refusals.def"
	};
#undef REFUSAL
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (str_eq(said, refusals[i].status) || str_eq(said, refusals[i].text))
			return refusals[i].why;
	return NULL;
}
