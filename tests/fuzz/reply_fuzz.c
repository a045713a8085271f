// reply_fuzz.c: a store's line, read and passed on to a client.
//
// Whatever the store says: the client gets one line of at most 512 bytes, CR
// LF at its end and no other control byte, with the status that was decided
// on, and at most one code more than the store gave.
#include <string.h>

#include "proxy/pop3/reply.h"
#include "tests/fuzz/fuzz.h"

static void check_passed_on(struct str line, bool refused)
{
	char room[REPLY_MAX + 1];
	struct text out = TEXT(room);
	reply_pass_on(&out, line, refused);
	struct str passed = text_str(&out);
	MUST(!out.truncated && passed.len >= 6 && passed.len <= REPLY_MAX);
	MUST(str_eq(str_drop(passed, passed.len - 2), STR("\r\n")));
	struct str text = str_take(passed, passed.len - 2);
	MUST(!str_has_control(text));
	MUST(reply_status_of(text) == (refused ? REPLY_STATUS_err : REPLY_STATUS_ok));
	struct str word, rest, body = str_drop(text, refused ? 5 : 4);
	str_cut(line, ' ', &word, &rest);
	if (refused && (!rest.len || rest.at[0] != '[') && str_starts_nocase(body, STR("[AUTH] ")))
		body = str_drop(body, 7);
	MUST(body.len <= rest.len && (body.len == rest.len || passed.len == REPLY_MAX));
	for (size_t i = 0; i < body.len; i++)
		MUST(body.at[i] == rest.at[i] || body.at[i] == '?');
}

// The status depends on the first word alone.
static void check_status(struct str line)
{
	enum reply_status status = reply_status_of(line);
	struct str word, rest;
	str_cut(line, ' ', &word, &rest);
	MUST(reply_status_of(word) == status);
	MUST(status != REPLY_STATUS_ok || str_eq_nocase(word, STR("+OK")));
	MUST(status != REPLY_STATUS_err || str_eq_nocase(word, STR("-ERR")));
	MUST(status != REPLY_STATUS_continuation || str_eq(word, STR("+")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = {(const char *)data, size};
	check_status(line);
	check_passed_on(line, false);
	check_passed_on(line, true);
	return 0;
}
