// str.c: comparing, cutting and reading slices.  See str.h.
#include "proxy/base/str.h"

#include "proxy/base/die.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.at[i]) != lower(b.at[i]))
			return false;
	return true;
}

bool str_starts_nocase(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq_nocase(str_take(s, prefix.len), prefix);
}

bool str_has_nocase(struct str s, struct str part)
{
	for (; s.len >= part.len; s = str_drop(s, 1)) {
		if (str_starts_nocase(s, part))
			return true;
		if (!s.len)
			break;
	}
	return false;
}

size_t str_find(struct str s, char c)
{
	const char *found = s.len ? memchr(s.at, c, s.len) : NULL;
	return found ? (size_t)(found - s.at) : s.len;
}

bool str_cut(struct str s, char sep, struct str *out_head, struct str *out_tail)
{
	size_t where = str_find(s, sep);
	*out_head = str_take(s, where);
	*out_tail = str_drop(s, where + 1);
	return where < s.len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.at[0]))
		s = str_drop(s, 1);
	while (s.len && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool str_has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
			return true;
	return false;
}

bool str_to_u64(struct str s, uint64_t *out_number)
{
	uint64_t number = 0;
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(s.at[i] - '0'), &number))
			return false;
	}
	*out_number = number;
	return true;
}

// Of each length the bits of the first byte that count, and the least code
// point that needs it.
static const struct {
	unsigned char mask, mark, payload;
	uint32_t least;
} utf8[] = {{0x80, 0x00, 0x7f, 0}, {0xe0, 0xc0, 0x1f, 0x80}, {0xf0, 0xe0, 0x0f, 0x800},
    {0xf8, 0xf0, 0x07, 0x10000}};

static bool read_code_point(struct str s, size_t len, uint32_t *out_code)
{
	uint32_t code = (unsigned char)s.at[0] & utf8[len - 1].payload;
	bool sound = len <= s.len;
	for (size_t i = 1; sound && i < len; i++) {
		sound = ((unsigned char)s.at[i] & 0xc0) == 0x80;
		code = code << 6 | ((unsigned char)s.at[i] & 0x3f);
	}
	*out_code = code;
	bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
	return sound && code >= utf8[len - 1].least && code <= 0x10ffff && !is_surrogate;
}

bool str_take_code_point(struct str *s, uint32_t *out_code)
{
	unsigned char first = (unsigned char)s->at[0];
	for (size_t len = 1; len <= sizeof(utf8) / sizeof(utf8[0]); len++)
		if ((first & utf8[len - 1].mask) == utf8[len - 1].mark &&
		    read_code_point(*s, len, out_code)) {
			*s = str_drop(*s, len);
			return true;
		}
	*out_code = first;
	*s = str_drop(*s, 1);
	return false;
}

char *str_dup(struct str s)
{
	char *copy = xmalloc(s.len + 1);
	if (s.len)
		memcpy(copy, s.at, s.len);
	copy[s.len] = '\0';
	return copy;
}
