// check.c: failing with a row's name.  See check.h.
#include "tests/kit/check.h"

#include "proxy/base/text.h"

enum { SHOWN = 600 };

// Bytes as a C string literal would have them.
static void add_shown(struct text *out, struct str s)
{
	text_add_char(out, '"');
	for (size_t i = 0; i < s.len; i++)
		if (str_has_control(str_take(str_drop(s, i), 1)) || (s.at[i] & 0x80))
			text_addf(out, "\\%03o", (unsigned)(unsigned char)s.at[i]);
		else
			text_add_char(out, s.at[i]);
	text_add_char(out, '"');
}

void check_failed(struct str row, const char *condition, const char *file, int line)
{
	char room[SHOWN];
	struct text shown = TEXT(room);
	add_shown(&shown, row);
	print_error("row %s: not so: %s\n", room, condition);
	_fail(file, line);
}

void check_str_at(struct str row, struct str found, struct str wanted, const char *file, int line)
{
	char rooms[3][SHOWN];
	struct str all[] = {row, found, wanted};
	if (str_eq(found, wanted))
		return;
	for (size_t i = 0; i < NUM(all); i++) {
		struct text shown = TEXT(rooms[i]);
		add_shown(&shown, all[i]);
	}
	print_error("row %s: found %s (%zu bytes), wanted %s (%zu bytes)\n", rooms[0], rooms[1],
	    found.len, rooms[2], wanted.len);
	_fail(file, line);
}

struct str check_fill(char *room, size_t size, char c, size_t count)
{
	assert_in_range(count, 0, size);
	memset(room, c, count);
	return (struct str){room, count};
}
