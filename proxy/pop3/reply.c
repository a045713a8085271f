// reply.c: making and reading replies.  See reply.h.
#include "proxy/pop3/reply.h"

#include <openssl/base64.h>

#include "proxy/base/die.h"

// Bytes that are encoded at a time; a multiple of 3, so that padding is at the end.
enum { BASE64_PIECE = 48 };

#define REPLY(token, text) [REPLY_##token] = {text "\r\n", sizeof(text "\r\n") - 1},
static const struct str lines[REPLIES] = {
#include "proxy/pop3/replies.def"
};
#undef REPLY

struct str reply_line(enum reply reply)
{
	return lines[reply];
}

static void add_line(struct text *out, struct str status, struct str words)
{
	text_add(out, status);
	text_add(out, words);
	text_add(out, STR("\r\n"));
}

void reply_greeting(struct text *out, struct str greeting)
{
	add_line(out, STR("+OK "), greeting);
}

void reply_refusal(struct text *out, struct str refusal)
{
	add_line(out, STR("-ERR "), refusal);
}

void reply_refused_in_clear(struct text *out, struct str hint)
{
	text_add(out, STR("-ERR [AUTH] Login in clear text is refused here: "));
	text_add(out, hint);
	text_add(out, STR(".\r\n"));
}

void reply_continuation(struct text *out, struct str challenge)
{
	uint8_t base64[BASE64_PIECE / 3 * 4 + 1];
	text_add(out, STR("+ "));
	for (; challenge.len; challenge = str_drop(challenge, BASE64_PIECE)) {
		struct str piece = str_take(challenge, BASE64_PIECE);
		size_t len = EVP_EncodeBlock(base64, (const uint8_t *)piece.at, piece.len);
		text_add(out, (struct str){(const char *)base64, len});
	}
	text_add(out, STR("\r\n"));
}

enum reply_status reply_status_of(struct str line)
{
	static const struct {
		struct str word;
		enum reply_status status;
	} words[] = {
	    {{"+OK", 3}, REPLY_STATUS_ok},
	    {{"-ERR", 4}, REPLY_STATUS_err},
	    {{"+", 1}, REPLY_STATUS_continuation},
	};
	struct str first, rest;
	str_cut(line, ' ', &first, &rest);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq_nocase(first, words[i].word))
			return words[i].status;
	return REPLY_STATUS_other;
}

bool reply_doubts_login(struct str line)
{
	static const struct str codes[] = {{"[IN-USE]", 8}, {"[LOGIN-DELAY]", 13}, {"[SYS/", 5}};
	struct str word, rest;
	str_cut(line, ' ', &word, &rest);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (str_starts_nocase(rest, codes[i]))
			return false;
	return true;
}

// fetchmail knows a busy mailbox by much the same words.
static bool lacks_auth_code(struct str text)
{
	static const struct str others[] = {{"lock", 4}, {"busy", 4}, {"in use", 6}, {"wait", 4},
	    {"try again", 9}, {"later", 5}, {"temporar", 8}, {"unavailable", 11}};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (str_has_nocase(text, others[i]))
			return false;
	return !text.len || text.at[0] != '[';
}

void reply_pass_on(struct text *out, struct str line, bool login_refused)
{
	struct str word, rest;
	BUG_ON(out->cap <= REPLY_MAX);
	str_cut(line, ' ', &word, &rest);
	text_add(out, login_refused ? STR("-ERR ") : STR("+OK "));
	if (login_refused && lacks_auth_code(rest))
		text_add(out, STR("[AUTH] "));
	rest = str_take(rest, REPLY_MAX - 2 - out->len);
	for (size_t i = 0; i < rest.len; i++)
		text_add_char(
		    out, str_has_control(str_take(str_drop(rest, i), 1)) ? '?' : rest.at[i]);
	text_add(out, STR("\r\n"));
}
