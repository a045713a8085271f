// tls_names.c: comparing host names.  See tls_names.h.
#include "proxy/net/tls_names.h"

#include "proxy/base/addr.h"

static struct str without_last_dot(struct str name)
{
	bool has_dot = name.len > 1 && name.at[name.len - 1] == '.';
	return str_take(name, name.len - has_dot);
}

enum tls_match tls_name_match(struct str pattern, struct str name)
{
	struct str label, rest;
	name = without_last_dot(name);
	if (str_eq_nocase(pattern, name))
		return TLS_MATCH_exact;
	bool fits = pattern.len > 2 && pattern.at[0] == '*' && pattern.at[1] == '.' &&
	            str_cut(name, '.', &label, &rest) && label.len &&
	            str_eq_nocase(str_drop(pattern, 2), rest);
	return fits ? TLS_MATCH_wildcard : TLS_MATCH_none;
}

static bool is_host_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '_' || c == '.';
}

bool tls_name_is_host(struct str name)
{
	struct addr addr;
	name = without_last_dot(name);
	for (size_t i = 0; i < name.len; i++)
		if (!is_host_char(name.at[i]))
			return false;
	return name.len && name.at[name.len - 1] != '.' && !addr_parse(name, 1, &addr);
}
