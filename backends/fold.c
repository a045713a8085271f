// fold.c: case folding, by libunistring.  See fold.h.
#include "backends/fold.h"

#include <stdlib.h>

#include <unicase.h>
#include <unistr.h>

typedef uint8_t *change_fn(
    const uint8_t *s, size_t n, const char *language, uninorm_t form, uint8_t *room, size_t *len);

static void add_ascii(struct str name, struct text *out)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];
		text_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
	}
}

// Most names are ASCII, and what is no UTF-8 the library would mend.
static bool has_more_than_ascii(struct str s)
{
	unsigned char bits = 0;
	for (size_t i = 0; i < s.len; i++)
		bits |= (unsigned char)s.at[i];
	return bits >= 0x80 && !u8_check((const uint8_t *)s.at, s.len);
}

static void change(change_fn *change_case, struct str name, struct text *out)
{
	size_t len = 0;
	uint8_t *changed = NULL;
	if (has_more_than_ascii(name))
		changed =
		    change_case((const uint8_t *)name.at, name.len, NULL, UNINORM_NFC, NULL, &len);
	if (changed)
		text_add(out, (struct str){(const char *)changed, len});
	else
		add_ascii(name, out);
	free(changed);
}

void fold_name(struct str name, struct text *out)
{
	change(u8_casefold, name, out);
}

void fold_to_lower(struct str name, struct text *out)
{
	change(u8_tolower, name, out);
}

bool fold_is_plain(struct str name)
{
	char room_folded[FOLD_SIZE], room_plain[FOLD_SIZE];
	struct text folded = TEXT(room_folded), plain = TEXT(room_plain);
	fold_name(name, &folded);
	add_ascii(name, &plain);
	return str_eq(text_str(&folded), text_str(&plain));
}

bool fold_equals(struct str a, struct str b)
{
	char room_a[FOLD_SIZE], room_b[FOLD_SIZE];
	struct text folded_a = TEXT(room_a), folded_b = TEXT(room_b);
	fold_name(a, &folded_a);
	fold_name(b, &folded_b);
	return str_eq(text_str(&folded_a), text_str(&folded_b));
}
