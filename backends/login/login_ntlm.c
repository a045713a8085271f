// login_ntlm.c: AUTH NTLM ([MS-POP3], [MS-OXPOP3]): with the user's password, or
// with the messages of a client whose exchange is the store's own.
//
// Without an initial response, which stores older than RFC 5034 refuse.  Relayed
// messages are the client's to the byte: its MIC covers them.
#include "backends/login/login_priv.h"

#include "proxy/pop3/ntlm/client.h"
#include "proxy/pop3/ntlm/exchange.h"

enum { TOKEN_ROOM = NTLM_MESSAGE_MAX + 1 };

static enum login_result say_auth(struct login *login, struct str heard, struct text *out)
{
	(void)login;
	(void)heard;
	return login_say_auth(out, STR("NTLM"));
}

// ---- as a client --------------------------------------------------------

static struct ntlm_client client_of(const struct login *login)
{
	struct ntlm_client client = {
	    .user = login->credentials->user,
	    .domain = str_of(login->options->ntlm_domain),
	    .password = login->credentials->password,
	    .v1 = login->options->ntlm == BACKEND_NTLM_v1,
	    .filetime = login->filetime,
	};
	memcpy(client.nonce, login->nonce, sizeof(client.nonce));
	if (login->is_bound)
		client.binding = (struct str){(const char *)login->binding, sizeof(login->binding)};
	return client;
}

static enum login_result say_negotiate(struct login *login, struct str heard, struct text *out)
{
	char room[TOKEN_ROOM];
	struct text token = TEXT(room);
	struct ntlm_client client = client_of(login);
	(void)heard;
	ntlm_client_negotiate(&client, &token);
	login_add_base64(out, text_str(&token));
	return LOGIN_SEND;
}

// Type 1 is made once more, since the MIC covers it; it depends on nothing else.
// What cannot be said now may be this user's fault alone, and so is not the store's.
static enum login_result say_authenticate(struct login *login, struct str heard, struct text *out)
{
	char rooms[2][TOKEN_ROOM];
	struct text negotiate = TEXT(rooms[0]), token = TEXT(rooms[1]);
	struct ntlm_client client = client_of(login);
	login->stage = LOGIN_NAMED;
	ntlm_client_negotiate(&client, &negotiate);
	bool done =
	    ntlm_client_authenticate(&client, text_str(&negotiate), heard, &token, &login->why);
	login_add_base64(out, text_str(&token));
	explicit_bzero(rooms[1], token.len);
	return done ? LOGIN_SEND : LOGIN_BROKEN;
}

static const char after_auth[] = "its answer to AUTH NTLM";
static const char after_negotiate[] = "its challenge of NTLM";
static const char after_authenticate[] = "its answer to the last message of NTLM";

const struct login_dialogue login_ntlm = {
    .moves = {{CUE_START, LOGIN_FRESH, after_auth, say_auth},
        {CUE_PROMPT, LOGIN_FRESH, after_negotiate, say_negotiate},
        {CUE_CHALLENGE, LOGIN_ASKED, after_authenticate, say_authenticate}},
    .num = 3,
    .needs_user = true,
    .needs_password = true,
    .needs_utf8 = true,
};

// ---- between a client and the store -------------------------------------

static enum login_result pass_on_negotiate(struct login *login, struct str heard, struct text *out)
{
	(void)heard;
	login_add_base64(out, login->credentials->token);
	return LOGIN_SEND;
}

static enum login_result pass_on_challenge(struct login *login, struct str heard, struct text *out)
{
	(void)login;
	text_add(out, heard);
	return LOGIN_CHALLENGED;
}

static enum login_result pass_on_authenticate(
    struct login *login, struct str heard, struct text *out)
{
	(void)login;
	login_add_base64(out, heard);
	return LOGIN_SEND;
}

const struct login_dialogue login_relayed = {
    .moves = {{CUE_START, LOGIN_FRESH, after_auth, say_auth},
        {CUE_PROMPT, LOGIN_NAMED, after_negotiate, pass_on_negotiate},
        {CUE_CHALLENGE, LOGIN_BOUND, "the client's answer to its challenge", pass_on_challenge},
        {CUE_CLIENT, LOGIN_ASKED, after_authenticate, pass_on_authenticate}},
    .num = 4,
};
