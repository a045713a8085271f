// login_digest.c: APOP (RFC 1939 section 7) and AUTH CRAM-MD5 (RFC 2195): the
// password is proven by a digest of it and of what the store has said.
#include "backends/login/login_priv.h"

#include "proxy/pop3/digest.h"

// "NAME DIGEST".
static void add_response(
    const struct login *login, enum digest_how how, struct str challenge, struct text *out)
{
	uint8_t response[DIGEST_SIZE];
	digest_respond(how, challenge, login->credentials->password, response);
	text_add(out, login->credentials->user);
	text_add_char(out, ' ');
	digest_add_hex(out, response);
}

static enum login_result say_apop(struct login *login, struct str heard, struct text *out)
{
	(void)heard;
	text_add(out, STR("APOP "));
	add_response(login, DIGEST_apop, buf_str(&login->timestamp), out);
	return LOGIN_SEND;
}

static enum login_result say_auth(struct login *login, struct str heard, struct text *out)
{
	(void)login;
	(void)heard;
	return login_say_auth(out, STR("CRAM-MD5"));
}

static enum login_result say_cram_md5(struct login *login, struct str heard, struct text *out)
{
	char room[REPLY_MAX];
	struct text message = TEXT(room);
	add_response(login, DIGEST_cram_md5, heard, &message);
	login_add_base64(out, text_str(&message));
	out->truncated |= message.truncated;
	return LOGIN_SEND;
}

const struct login_dialogue login_apop = {
    .moves = {{CUE_START, LOGIN_ASKED, "its answer to APOP", say_apop}},
    .num = 1,
    .needs_user = true,
    .needs_password = true,
    .needs_timestamp = true,
};

const struct login_dialogue login_cram_md5 = {
    .moves = {{CUE_START, LOGIN_FRESH, "its challenge of CRAM-MD5", say_auth},
        {CUE_CHALLENGE, LOGIN_ASKED, "its answer to the digest of CRAM-MD5", say_cram_md5}},
    .num = 2,
    .needs_user = true,
    .needs_password = true,
};
