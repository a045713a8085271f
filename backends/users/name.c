// name.c: folding names.  See name.h.
#include "backends/users/name.h"

#include <stdlib.h>
#include <unicase.h>
#include <unistr.h>

static bool is_ascii(struct str s)
{
	unsigned char bits = 0;
	for (size_t i = 0; i < s.len; i++)
		bits |= (unsigned char)s.at[i];
	return bits < 0x80;
}

static void lower(char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] >= 'A' && at[i] <= 'Z')
			at[i] = (char)(at[i] + ('a' - 'A'));
}

// Of ASCII, folding is lowering, which is a twentieth of the library's work.
static void fold(struct text *name)
{
	size_t len = 0;
	if (is_ascii(text_str(name))) {
		lower(name->at, name->len);
		return;
	}
	const uint8_t *at = (const uint8_t *)name->at;
	bool is_utf8 = !u8_check(at, name->len);
	uint8_t *folded =
	    is_utf8 ? u8_casefold(at, name->len, NULL, UNINORM_NFC, NULL, &len) : NULL;
	struct text result = text_in(name->at, name->cap);
	result.truncated = !folded;
	text_add(&result, (struct str){(const char *)folded, len});
	free(folded);
	*name = result;
}

bool user_name_fold(struct str domain, struct str user, struct text *out)
{
	text_add(out, user);
	if (domain.len) {
		text_add_char(out, '@');
		text_add(out, domain);
	}
	if (!user.len || out->truncated || str_has_control(text_str(out)))
		return false;
	fold(out);
	return !out->truncated;
}
