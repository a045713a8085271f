// login_pass.c: USER and PASS (RFC 1939 section 7): the user with a password, or
// a master user in the user's place, as Dovecot and UW take it: "user*master".
#include "backends/login/login_priv.h"

static enum login_result say_user(struct login *login, struct str heard, struct text *out)
{
	(void)heard;
	text_add(out, STR("USER "));
	text_add(out, login->credentials->user);
	return LOGIN_SEND;
}

static enum login_result say_pass(struct login *login, struct str heard, struct text *out)
{
	(void)heard;
	text_add(out, STR("PASS "));
	text_add(out, login->credentials->password);
	return LOGIN_SEND;
}

static enum login_result say_master(struct login *login, struct str heard, struct text *out)
{
	say_user(login, heard, out);
	text_add(out, str_of(login->options->master_separator));
	text_add(out, str_of(login->options->master_user));
	return LOGIN_SEND;
}

static enum login_result say_master_pass(struct login *login, struct str heard, struct text *out)
{
	(void)heard;
	text_add(out, STR("PASS "));
	text_add(out, login->master_password);
	return LOGIN_SEND;
}

static const char after_user[] = "its answer to USER";
static const char after_pass[] = "its answer to PASS";

const struct login_dialogue login_pass = {
    .moves = {{CUE_START, LOGIN_NAMED, after_user, say_user},
        {CUE_OK, LOGIN_ASKED, after_pass, say_pass}},
    .num = 2,
    .needs_user = true,
    .needs_password = true,
};

const struct login_dialogue login_master = {
    .moves = {{CUE_START, LOGIN_NAMED, after_user, say_master},
        {CUE_OK, LOGIN_ASKED, after_pass, say_master_pass}},
    .num = 2,
    .needs_user = true,
};
