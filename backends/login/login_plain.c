// login_plain.c: AUTH PLAIN (RFC 4616): the user with a password, or a master user
// who acts for the user (authorization identity).
//
// Without an initial response: old stores do not know it, and one round trip more
// is the price.
#include "backends/login/login_priv.h"

enum { MESSAGE_MAX = 1024 };

static enum login_result say_auth(struct login *login, struct str heard, struct text *out)
{
	(void)login;
	(void)heard;
	return login_say_auth(out, STR("PLAIN"));
}

static enum login_result say(struct text *out, struct str as, struct str user, struct str password)
{
	char room[MESSAGE_MAX];
	struct text message = TEXT(room);
	text_add(&message, as);
	text_add_char(&message, '\0');
	text_add(&message, user);
	text_add_char(&message, '\0');
	text_add(&message, password);
	login_add_base64(out, text_str(&message));
	out->truncated |= message.truncated;
	explicit_bzero(room, sizeof(room));
	return LOGIN_SEND;
}

static enum login_result say_user(struct login *login, struct str heard, struct text *out)
{
	(void)heard;
	return say(out, STR(""), login->credentials->user, login->credentials->password);
}

static enum login_result say_master(struct login *login, struct str heard, struct text *out)
{
	(void)heard;
	return say(out, login->credentials->user, str_of(login->options->master_user),
	    login->master_password);
}

static const char after_auth[] = "its answer to AUTH PLAIN";
static const char after_message[] = "its answer to the password of AUTH PLAIN";

const struct login_dialogue login_plain = {
    .moves = {{CUE_START, LOGIN_FRESH, after_auth, say_auth},
        {CUE_PROMPT, LOGIN_ASKED, after_message, say_user}},
    .num = 2,
    .needs_user = true,
    .needs_password = true,
};

const struct login_dialogue login_master_plain = {
    .moves = {{CUE_START, LOGIN_FRESH, after_auth, say_auth},
        {CUE_PROMPT, LOGIN_ASKED, after_message, say_master}},
    .num = 2,
    .needs_user = true,
};
