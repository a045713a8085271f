// login_fuzz.c: a login at a store: the first byte chooses the method, the second how
// it is used; the first line is the store's greeting, further lines go on with it.
//
// Whatever the store says: the dialogue ends after its last move; what is told is one
// line, unless it may be told more together; the password is told at the last move
// alone; and only a yes to a password, or to a proof of it, is a login.
#include <string.h>

#include "backends/login/login.h"
#include "tests/fuzz/fuzz.h"

enum { LINES_MAX = 6, METHODS = BACKEND_LOGIN_stored + 1 };
enum { RELAYED = 1, XCLIENT = 2, PLAIN_MASTER = 4, NTLM_V1 = 8, STRANGER = 16, PIPELINED = 32 };

#define PASSWORD "a secret"

struct dialogue {
	struct backend_options options;
	struct credentials credentials;
	struct addr client;
	struct login login;
	char room[LOGIN_LINE_MAX];
	struct text out;
};

static void set_up(struct dialogue *dialogue, uint8_t method, uint8_t how)
{
	*dialogue = (struct dialogue){
	    .options = {.login = (enum backend_login)(method % METHODS),
	        .master_user = (char *)"boss",
	        .master_separator = (char *)(how & PLAIN_MASTER ? "" : "*"),
	        .ntlm = how & NTLM_V1 ? BACKEND_NTLM_v1 : BACKEND_NTLM_v2,
	        .ntlm_domain = (char *)"LAB",
	        .client_address = how & XCLIENT ? CLIENT_ADDRESS_xclient : CLIENT_ADDRESS_none,
	        .capabilities = how & PIPELINED ? CAPABILITY_pipelining : 0},
	    .credentials = {.user = STR("anna"),
	        .password = STR(PASSWORD),
	        .token = how & RELAYED ? STR("type 1") : STR(""),
	        .is_verified = !(how & STRANGER),
	        .client = &dialogue->client},
	    .login = {.options = &dialogue->options,
	        .credentials = &dialogue->credentials,
	        .master_password = STR(PASSWORD)},
	};
	MUST(addr_parse(STR("192.0.2.1:40000"), 0, &dialogue->client));
}

static void check_said(const struct dialogue *dialogue)
{
	const struct login *login = &dialogue->login;
	struct str said = text_str(&dialogue->out), line;
	MUST(!dialogue->out.truncated && said.len);
	MUST(login->stage == LOGIN_ASKED || !str_has_nocase(said, STR(PASSWORD)));
	for (unsigned lines = 0; said.len; lines++) {
		MUST(lines <= login->ahead && str_cut(said, '\n', &line, &said));
		MUST(line.len && line.at[line.len - 1] == '\r');
		MUST(!str_has_control(str_take(line, line.len - 1)));
	}
}

static void check_result(const struct dialogue *dialogue, enum login_result result, struct str line)
{
	const struct login *login = &dialogue->login;
	enum reply_status status = reply_status_of(line);
	switch (result) {
	case LOGIN_SEND: check_said(dialogue); return;
	case LOGIN_WAIT: MUST(status == REPLY_STATUS_ok && !dialogue->out.len); return;
	case LOGIN_CHALLENGED:
		MUST(login->stage == LOGIN_BOUND && dialogue->out.len);
		MUST(status == REPLY_STATUS_continuation);
		return;
	case LOGIN_ACCEPTED: MUST(login->stage == LOGIN_ASKED && status == REPLY_STATUS_ok); return;
	case LOGIN_REFUSED: MUST(login->stage >= LOGIN_NAMED && status == REPLY_STATUS_err); return;
	case LOGIN_BROKEN: MUST(login->why && login->awaited); return;
	}
}

static enum login_result take(struct dialogue *dialogue, struct str line)
{
	enum login_stage stage = dialogue->login.stage;
	dialogue->out = TEXT(dialogue->room);
	enum login_result result =
	    login_take(&dialogue->login, str_take(line, STORE_LINE_MAX), &dialogue->out);
	MUST(dialogue->login.stage >= stage);
	check_result(dialogue, result, line);
	if (result != LOGIN_CHALLENGED)
		return result;
	dialogue->out = TEXT(dialogue->room);
	MUST(login_relay(&dialogue->login, STR("type 3"), &dialogue->out) == LOGIN_SEND);
	check_said(dialogue);
	return LOGIN_SEND;
}

static void play(struct dialogue *dialogue, struct str lines)
{
	struct str line;
	bool more = str_cut(lines, '\n', &line, &lines);
	if (login_prepare(&dialogue->login) != LOGIN_SEND ||
	    !login_greeting(&dialogue->login, line))
		return;
	dialogue->out = TEXT(dialogue->room);
	enum login_result result = login_begin(&dialogue->login, &dialogue->out);
	MUST(result == LOGIN_SEND);
	check_said(dialogue);
	for (unsigned taken = 1; more && (result == LOGIN_SEND || result == LOGIN_WAIT); taken++) {
		MUST(taken < LINES_MAX);
		more = str_cut(lines, '\n', &line, &lines);
		result = take(dialogue, line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dialogue dialogue;
	if (size < 2)
		return 0;
	set_up(&dialogue, data[0], data[1]);
	play(&dialogue, (struct str){(const char *)data + 2, size - 2});
	login_done(&dialogue.login);
	MUST(!dialogue.login.timestamp.at);
	return 0;
}
