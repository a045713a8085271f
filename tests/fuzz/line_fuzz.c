// line_fuzz.c: cutting lines, strictly and leniently.
//
// The first byte chooses the limit, the rest is the stream.  Whatever it is:
// a line lies within what it uses, what it uses within the input and the
// limit; what is found strictly is found leniently as well; and however the
// stream is split, its lines are the same.
#include <string.h>

#include "proxy/pop3/line.h"
#include "tests/fuzz/fuzz.h"

typedef enum line_result cut_fn(struct str in, size_t max, struct str *out_line, size_t *out_used);

static void check_found(struct str in, size_t max, struct str line, size_t used, bool strict)
{
	MUST(used > 0 && used <= in.len && used <= max);
	MUST(line.at == in.at && line.len < used);
	MUST(in.at[used - 1] == '\n');
	MUST(str_find(line, '\n') == line.len && str_find(line, '\0') == line.len);
	MUST(!strict || (line.len + 2 == used && in.at[line.len] == '\r'));
	MUST(!strict || str_find(line, '\r') == line.len);
}

// Everything that can be said about one cut without knowing what it should be.
static enum line_result cut(cut_fn *how, struct str in, size_t max, struct str *line, size_t *used)
{
	enum line_result result = how(in, max, line, used);
	if (result == LINE_FOUND)
		check_found(in, max, *line, *used, how == line_cut_strict);
	if (result == LINE_MORE)
		MUST(in.len < max && str_find(in, '\n') == in.len);
	if (result == LINE_TOO_LONG)
		MUST(in.len >= max && str_find(str_take(in, max), '\n') == max);
	return result;
}

static void check_agreement(struct str in, size_t max)
{
	struct str strict, lenient;
	size_t strict_used, lenient_used;
	enum line_result result = cut(line_cut_strict, in, max, &strict, &strict_used);
	enum line_result other = cut(line_cut_lenient, in, max, &lenient, &lenient_used);
	if (result == LINE_FOUND)
		MUST(other == LINE_FOUND && str_eq(strict, lenient) && strict_used == lenient_used);
	if (result == LINE_MORE || result == LINE_TOO_LONG)
		MUST(other == result);
}

// Cuts all lines of `in` up to `end`, from *at on.  An empty line counts in the
// sum too.
static enum line_result cut_all(
    cut_fn *how, struct str in, size_t end, size_t max, size_t *at, size_t *num_lines)
{
	struct str line;
	size_t used;
	enum line_result result;
	while ((result = cut(how, str_drop(str_take(in, end), *at), max, &line, &used)) ==
	       LINE_FOUND) {
		*at += used;
		++*num_lines;
	}
	return result;
}

// The lines of a stream that comes whole and of one that comes in two parts are
// as many and end at the same place, and so are the errors.
static void check_split(cut_fn *how, struct str in, size_t max, size_t split)
{
	size_t at = 0, num = 0, split_at = 0, split_num = 0;
	enum line_result whole = cut_all(how, in, in.len, max, &at, &num);
	enum line_result parts = cut_all(how, in, split, max, &split_at, &split_num);
	if (parts == LINE_MORE)
		parts = cut_all(how, in, in.len, max, &split_at, &split_num);
	MUST(at == split_at && num == split_num);
	MUST((whole == LINE_MORE) == (parts == LINE_MORE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 2048)
		return 0;
	size_t max = 2 + data[0];
	struct str in = {(const char *)data + 1, size - 1};
	for (size_t at = 0; at <= in.len; at++)
		check_agreement(str_drop(in, at), max);
	for (size_t split = 0; split <= in.len; split++) {
		check_split(line_cut_strict, in, max, split);
		check_split(line_cut_lenient, in, max, split);
	}
	return 0;
}
