// hex.c: hexadecimal digits.  See hex.h.
#include "backends/users/hex.h"

static int value_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

bool hex_read(struct str s, uint8_t *out, size_t size)
{
	bool sound = s.len == 2 * size;
	for (size_t i = 0; sound && i < size; i++) {
		int high = value_of(s.at[2 * i]), low = value_of(s.at[2 * i + 1]);
		sound = high >= 0 && low >= 0;
		out[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
	}
	return sound;
}

void hex_add(struct text *text, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < size; i++) {
		text_add_char(text, digits[bytes[i] >> 4]);
		text_add_char(text, digits[bytes[i] & 0xf]);
	}
}
