// unicode.c: UTF-16LE, OEM and upper case.  See unicode.h.
//
// Upper case is libunistring's simple mapping; u16_toupper's full one ("ss" for
// a sharp s) is not what Windows does.
#include "proxy/pop3/ntlm/unicode.h"

#include <unicase.h>
#include <unistr.h>

bool ntlm_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] & 0x80)
			return false;
	return true;
}

static void add_unit(struct text *out, uint32_t unit)
{
	char bytes[] = {(char)(unit & 0xff), (char)(unit >> 8 & 0xff)};
	text_add(out, (struct str){bytes, sizeof(bytes)});
}

bool ntlm_utf16_from(struct str utf8, struct text *out)
{
	while (utf8.len) {
		uint32_t code;
		if (!str_take_code_point(&utf8, &code))
			return false;
		if (code >= 0x10000) {
			add_unit(out, 0xd800 + ((code - 0x10000) >> 10));
			code = 0xdc00 + (code & 0x3ff);
		}
		add_unit(out, code);
	}
	return !out->truncated;
}

static uint32_t take_unit(struct str *utf16)
{
	uint32_t unit = (uint32_t)((unsigned char)utf16->at[0] | (unsigned char)utf16->at[1] << 8);
	*utf16 = str_drop(*utf16, 2);
	return unit;
}

// Takes a character off, or 0 for what is none.
static uint32_t take_utf16(struct str *utf16)
{
	if (utf16->len < 2) {
		*utf16 = STR("");
		return 0;
	}
	uint32_t unit = take_unit(utf16);
	if (unit < 0xd800 || unit > 0xdfff)
		return unit;
	if (unit > 0xdbff || utf16->len < 2)
		return 0;
	uint32_t low = take_unit(utf16);
	return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
	                                      : 0;
}

static uint32_t take_oem(struct str *oem)
{
	uint32_t code = (unsigned char)oem->at[0];
	*oem = str_drop(*oem, 1);
	return code < 0x80 ? code : 0;
}

bool ntlm_utf8_from(struct str s, bool is_unicode, struct text *out)
{
	while (s.len) {
		uint8_t bytes[4];
		uint32_t code = is_unicode ? take_utf16(&s) : take_oem(&s);
		int len = code ? u8_uctomb(bytes, code, sizeof(bytes)) : 0;
		if (len <= 0)
			return false;
		text_add(out, (struct str){(const char *)bytes, (size_t)len});
	}
	return !out->truncated;
}

static uint32_t upper(uint32_t unit)
{
	enum { FINAL_SIGMA = 0x3c2 };
	uint32_t capital = uc_toupper(unit);
	return uc_tolower(capital) == unit || unit == FINAL_SIGMA ? capital : unit;
}

void ntlm_upper(struct str utf16, struct text *out)
{
	while (utf16.len >= 2)
		add_unit(out, upper(take_unit(&utf16)));
}
