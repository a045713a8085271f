// name.c: folding names.  See name.h.
#include "backends/users/name.h"

#include <unistr.h>

#include "backends/fold.h"

bool user_name_fold(struct str domain, struct str user, struct text *out)
{
	char room[USER_NAME_ROOM];
	struct text name = TEXT(room);
	text_add(&name, user);
	if (domain.len) {
		text_add_char(&name, '@');
		text_add(&name, domain);
	}
	if (!user.len || name.truncated || str_has_control(text_str(&name)) ||
	    u8_check((const uint8_t *)name.at, name.len))
		return false;
	fold_name(text_str(&name), out);
	return !out->truncated;
}
