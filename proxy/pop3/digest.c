// digest.c: APOP and CRAM-MD5.  See digest.h.
#include "proxy/pop3/digest.h"

#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>
#include <openssl/mem.h>

static const char hex[] = "0123456789abcdef";

static void add_hex(struct text *out, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		text_add_char(out, hex[bytes[i] >> 4]);
		text_add_char(out, hex[bytes[i] & 15]);
	}
}

void digest_add_hex(struct text *out, const uint8_t response[DIGEST_SIZE])
{
	add_hex(out, response, DIGEST_SIZE);
}

// ---- challenges ---------------------------------------------------------

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-';
}

void digest_add_challenge(struct text *out, const uint8_t random[DIGEST_RANDOM], struct str host)
{
	text_add_char(out, '<');
	add_hex(out, random, DIGEST_RANDOM);
	text_add_char(out, '@');
	for (size_t i = 0; i < host.len && i < DIGEST_HOST_MAX; i++)
		if (is_plain(host.at[i]))
			text_add_char(out, host.at[i]);
	text_add_char(out, '>');
}

static bool is_timestamp(struct str inside)
{
	return str_find(inside, '@') < inside.len && str_find(inside, ' ') == inside.len &&
	       str_find(inside, '<') == inside.len && !str_has_control(inside);
}

bool digest_find_timestamp(struct str greeting, struct str *out_timestamp)
{
	struct str head, inside, rest = greeting, after;
	while (str_cut(rest, '<', &head, &rest)) {
		if (!str_cut(rest, '>', &inside, &after) || !is_timestamp(inside))
			continue;
		*out_timestamp = (struct str){inside.at - 1, inside.len + 2};
		return true;
	}
	return false;
}

// ---- responses ----------------------------------------------------------

void digest_respond(
    enum digest_how how, struct str challenge, struct str password, uint8_t out[DIGEST_SIZE])
{
	const uint8_t *text = (const uint8_t *)challenge.at;
	if (how == DIGEST_cram_md5) {
		HMAC(EVP_md5(), password.at, password.len, text, challenge.len, out, NULL);
		return;
	}
	MD5_CTX context;
	MD5_Init(&context);
	MD5_Update(&context, text, challenge.len);
	MD5_Update(&context, password.at, password.len);
	MD5_Final(out, &context);
	explicit_bzero(&context, sizeof(context));
}

// The value of a hexadecimal digit of either case; 16 for what is none.
static uint8_t digit(char c)
{
	const char *at = memchr(hex, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c, 16);
	return at ? (uint8_t)(at - hex) : 16;
}

static bool read_hex(struct str text, uint8_t out[DIGEST_SIZE])
{
	if (text.len != DIGEST_HEX)
		return false;
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		uint8_t high = digit(text.at[2 * i]), low = digit(text.at[2 * i + 1]);
		if (high > 15 || low > 15)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool digest_parse(struct str text, struct str *out_name, uint8_t out_response[DIGEST_SIZE])
{
	if (text.len < DIGEST_HEX + 2 || text.at[text.len - DIGEST_HEX - 1] != ' ')
		return false;
	*out_name = str_take(text, text.len - DIGEST_HEX - 1);
	return read_hex(str_drop(text, text.len - DIGEST_HEX), out_response);
}

bool digest_matches(const struct digest *digest, struct str password)
{
	uint8_t wanted[DIGEST_SIZE];
	digest_respond(digest->how, digest->challenge, password, wanted);
	bool same = CRYPTO_memcmp(wanted, digest->response, sizeof(wanted)) == 0;
	explicit_bzero(wanted, sizeof(wanted));
	return same;
}
