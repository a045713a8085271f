// login.c: what all methods share: which one, whether it fits, and what lines
// mean.  See login.h.
//
// -ERR is the store's no to this client as soon as it knows who that is; before,
// it is about the store itself, which does not know the method.
#include "backends/login/login_priv.h"

#include <openssl/base64.h>

#include "proxy/base/die.h"
#include "proxy/pop3/digest.h"
#include "proxy/pop3/reply.h"

enum login_judge { STORE, VERIFIER };

#define LOGIN(name, method, judge) [BACKEND_LOGIN_##name] = {&(method), judge},
static const struct {
	const struct login_dialogue *method;
	enum login_judge judge;
} logins[] = {
#include "backends/login/logins.def"
};
#undef LOGIN

enum login_result login_break(struct login *login, const char *why)
{
	login->why = why;
	return LOGIN_BROKEN;
}

// ---- before the store is called -----------------------------------------

static const struct login_dialogue *method_of(const struct login *login)
{
	const struct backend_options *options = login->options;
	if (login->credentials->token.len)
		return &login_relayed;
	if (options->login == BACKEND_LOGIN_master && !*options->master_separator)
		return &login_master_plain;
	return logins[options->login].method;
}

static bool is_judged(const struct login *login)
{
	return login->credentials->token.len || login->credentials->is_verified ||
	       logins[login->options->login].judge == STORE;
}

static bool is_utf8(struct str s)
{
	uint32_t code;
	while (s.len)
		if (!str_take_code_point(&s, &code))
			return false;
	return true;
}

// A name that is two, seen by a store that cuts at the separator, is nobody's.
static bool is_two_names(const struct login *login)
{
	struct str separator = str_of(login->options->master_separator);
	return login->method == &login_master &&
	       str_has_nocase(login->credentials->user, separator);
}

static const char *name_problem(const struct login *login)
{
	struct str user = login->credentials->user;
	if (!login->method->needs_user)
		return NULL;
	if (str_is_empty(user) || str_has_control(user))
		return "the name at the store is empty or has control characters";
	return is_two_names(login) ? "the name at the store has master_separator in it, where the "
	                             "store would cut it"
	                           : NULL;
}

static const char *utf8_problem(const struct login *login)
{
	bool is_sound = is_utf8(login->credentials->user) && is_utf8(login->credentials->password);
	return is_sound || !login->method->needs_utf8
	           ? NULL
	           : "the name at the store or the password is no UTF-8";
}

// A client's own password has been looked at long before (proxy/pop3/claim.h); so
// these are an administrator's.
static const char *password_problem(const struct login *login)
{
	struct str password = login->credentials->password;
	if (!login->method->needs_password)
		return NULL;
	if (str_is_empty(password))
		return "no password for the store is known";
	return str_has_control(password) ? "the password holds control characters" : NULL;
}

enum login_result login_prepare(struct login *login)
{
	login_done(login);
	login->method = method_of(login);
	login->stage = LOGIN_FRESH;
	login->made = login->ahead = 0;
	login->awaited = "nothing";
	login->introduced = login->options->client_address != CLIENT_ADDRESS_xclient;
	if (!is_judged(login))
		return login_break(login, "nobody has verified the client");
	login->why = name_problem(login);
	if (!login->why)
		login->why = utf8_problem(login);
	if (login->why)
		return LOGIN_REFUSED;
	login->why = password_problem(login);
	return login->why ? LOGIN_BROKEN : LOGIN_SEND;
}

// ---- the dialogue -------------------------------------------------------

static bool keep_timestamp(struct login *login, struct str greeting)
{
	struct str timestamp;
	if (digest_find_timestamp(greeting, &timestamp) &&
	    buf_add(&login->timestamp, timestamp, STORE_LINE_MAX))
		return true;
	login->why = "no timestamp for APOP";
	return false;
}

// Dovecot offers XCLIENT to those it trusts only, but answers +OK to all.
bool login_greeting(struct login *login, struct str line)
{
	struct str status, words;
	str_cut(line, ' ', &status, &words);
	if (!login->introduced && !str_starts_nocase(words, STR("[XCLIENT"))) {
		login->why = "no XCLIENT for us";
		return false;
	}
	return !login->method->needs_timestamp || keep_timestamp(login, line);
}

static void await_answer(struct login *login)
{
	login->awaited = login->method->moves[login->made - login->ahead - 1].awaited;
}

static enum login_result move_once(struct login *login, struct str heard, struct text *out)
{
	const struct login_move *next = &login->method->moves[login->made];
	enum login_result result = next->say(login, heard, out);
	if (result == LOGIN_SEND)
		text_add(out, STR("\r\n"));
	if (out->truncated)
		return login_break(login, "too long to be told");
	if (result != LOGIN_SEND && result != LOGIN_CHALLENGED)
		return result;
	login->made++;
	login->stage = next->stage;
	await_answer(login);
	return result;
}

// Whether the next move is the same whatever words the last is answered with.
static bool may_go_ahead(const struct login *login)
{
	const struct login_dialogue *method = login->method;
	return login->options->capabilities & CAPABILITY_pipelining && login->made < method->num &&
	       method->moves[login->made].cue == CUE_OK;
}

static enum login_result move(struct login *login, struct str heard, struct text *out)
{
	enum login_result result = move_once(login, heard, out);
	while (result == LOGIN_SEND && may_go_ahead(login)) {
		login->ahead++;
		result = move_once(login, STR(""), out);
	}
	return result;
}

enum login_result login_begin(struct login *login, struct text *out)
{
	if (login->introduced)
		return move(login, STR(""), out);
	login_say_xclient(login, out);
	login->awaited = "its answer to XCLIENT";
	return LOGIN_SEND;
}

static enum login_result take_challenge(struct login *login, struct str line, struct text *out)
{
	uint8_t room[STORE_LINE_MAX];
	size_t len;
	struct str base64 = str_drop(line, 2);
	if (!EVP_DecodeBase64(room, &len, sizeof(room), (const uint8_t *)base64.at, base64.len) ||
	    !len)
		return login_break(login, "no challenge");
	return move(login, (struct str){(const char *)room, len}, out);
}

static enum login_result go_on(
    struct login *login, enum reply_status status, struct str line, struct text *out)
{
	enum login_cue cue = login->method->moves[login->made].cue;
	bool is_ok = status == REPLY_STATUS_ok, is_more = status == REPLY_STATUS_continuation;
	if (cue == CUE_CHALLENGE && is_more)
		return take_challenge(login, line, out);
	if ((cue == CUE_OK && is_ok) || (cue == CUE_PROMPT && (is_ok || is_more)))
		return move(login, STR(""), out);
	return login_break(login, "no POP3 reply");
}

static enum login_result wait_on(struct login *login)
{
	login->ahead--;
	await_answer(login);
	return LOGIN_WAIT;
}

enum login_result login_take(struct login *login, struct str line, struct text *out)
{
	enum reply_status status = reply_status_of(line);
	bool is_over = login->introduced && login->made == login->method->num;
	if (status == REPLY_STATUS_err)
		return login->stage < LOGIN_NAMED ? login_break(login, "refused") : LOGIN_REFUSED;
	if (login->ahead && status == REPLY_STATUS_ok)
		return wait_on(login);
	if (is_over && status == REPLY_STATUS_ok)
		return LOGIN_ACCEPTED;
	if (is_over || (!login->introduced && status != REPLY_STATUS_ok))
		return login_break(login, "no POP3 reply");
	if (login->introduced)
		return go_on(login, status, line, out);
	login->introduced = true;
	return move(login, STR(""), out);
}

enum login_result login_relay(struct login *login, struct str token, struct text *out)
{
	BUG_ON(login->method->moves[login->made].cue != CUE_CLIENT);
	return move(login, token, out);
}

void login_done(struct login *login)
{
	buf_done(&login->timestamp);
}

// ---- for the methods ----------------------------------------------------

void login_add_base64(struct text *out, struct str bytes)
{
	size_t len = (bytes.len + 2) / 3 * 4;
	if (out->truncated || len >= out->cap - out->len) {
		out->truncated = true;
		return;
	}
	EVP_EncodeBlock((uint8_t *)out->at + out->len, (const uint8_t *)bytes.at, bytes.len);
	out->len += len;
}

enum login_result login_say_auth(struct text *out, struct str mechanism)
{
	text_add(out, STR("AUTH "));
	text_add(out, mechanism);
	return LOGIN_SEND;
}
