// server_name.c: three words.  See server_name.h.
#include "proxy/config/server_name.h"

bool server_name_split(struct str rule, struct str *out_name, struct str *out_backend)
{
	struct str rest, at;
	if (!str_cut(str_trim(rule), ' ', out_name, &rest) ||
	    !str_cut(str_trim(rest), ' ', &at, &rest))
		return false;
	*out_backend = str_trim(rest);
	return str_eq(at, STR("at")) && str_find(*out_backend, ' ') == out_backend->len;
}
