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
