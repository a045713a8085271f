// line.c: finding the ends of lines.  See line.h.
#include "proxy/pop3/line.h"

enum line_result line_cut_lenient(struct str in, size_t max, struct str *out_line, size_t *out_used)
{
	size_t lf = str_find(str_take(in, max), '\n');
	if (lf == max)
		return LINE_TOO_LONG;
	if (lf == in.len)
		return LINE_MORE;
	struct str line = str_take(in, lf);
	if (lf && in.at[lf - 1] == '\r')
		line.len--;
	if (str_find(line, '\0') < line.len)
		return LINE_NUL;
	*out_line = line;
	*out_used = lf + 1;
	return LINE_FOUND;
}

// A CR may be the last byte so far: its LF is still on the way.
static bool has_bare_cr(struct str s)
{
	size_t cr = str_find(s, '\r');
	return cr + 1 < s.len && s.at[cr + 1] != '\n';
}

enum line_result line_cut_strict(struct str in, size_t max, struct str *out_line, size_t *out_used)
{
	struct str line = {0};
	size_t used = 0;
	enum line_result result = line_cut_lenient(in, max, &line, &used);
	struct str seen =
	    result == LINE_MORE || result == LINE_TOO_LONG ? str_take(in, max) : str_take(in, used);
	if (str_find(seen, '\0') < seen.len)
		return LINE_NUL;
	if (has_bare_cr(seen))
		return LINE_BARE_CR;
	if (result == LINE_FOUND && line.len + 2 != used)
		return LINE_BARE_LF;
	if (result == LINE_FOUND) {
		*out_line = line;
		*out_used = used;
	}
	return result;
}
