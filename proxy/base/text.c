// text.c: the text builder.  See text.h.
#include "proxy/base/text.h"

#include <stdio.h>

struct text text_in(char *memory, size_t size)
{
	memory[0] = '\0';
	return (struct text){.at = memory, .cap = size};
}

void text_add(struct text *text, struct str s)
{
	if (text->truncated || s.len > text->cap - 1 - text->len) {
		text->truncated = true;
		return;
	}
	if (s.len)
		memcpy(text->at + text->len, s.at, s.len);
	text->len += s.len;
	text->at[text->len] = '\0';
}

void text_add_char(struct text *text, char c)
{
	text_add(text, (struct str){&c, 1});
}

void text_add_u64(struct text *text, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	text_add(text, (struct str){digits + at, sizeof(digits) - at});
}

static bool is_plain_word(struct str s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "0123456789_@%+=:,./-";
	for (size_t i = 0; i < s.len; i++)
		if (!memchr(plain, s.at[i], sizeof(plain) - 1))
			return false;
	return s.len;
}

// No character means anything between single quotes, but a single quote ends them.
static void add_quoted(struct text *text, struct str s)
{
	text_add_char(text, '\'');
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] == '\'')
			text_add(text, STR("'\\''"));
		else
			text_add_char(text, s.at[i]);
	text_add_char(text, '\'');
}

void text_add_shell_word(struct text *text, struct str s)
{
	size_t before = text->len;
	if (is_plain_word(s))
		text_add(text, s);
	else
		add_quoted(text, s);
	if (text->truncated)
		text->len = before;
	text->at[text->len] = '\0';
}

void text_addv(struct text *text, const char *format, va_list args)
{
	if (text->truncated)
		return;
	size_t room = text->cap - text->len;
	int wanted = vsnprintf(text->at + text->len, room, format, args);
	if (wanted < 0 || (size_t)wanted >= room) {
		text->at[text->len] = '\0';
		text->truncated = true;
		return;
	}
	text->len += (size_t)wanted;
}

void text_addf(struct text *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_addv(text, format, args);
	va_end(args);
}
