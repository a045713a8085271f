// login_priv.h: what a method of logging in is made of, for the files of this
// folder.
//
// A method is a row of moves: each answers one line of the store's with one of
// ours, and what the store says to the last one is its verdict.  What lines mean
// and when a login is over is the same for all methods, and stands in login.c.
#ifndef POPGATE_BACKENDS_LOGIN_LOGIN_PRIV_H
#define POPGATE_BACKENDS_LOGIN_LOGIN_PRIV_H

#include "backends/login/login.h"

// The line that a move answers.
enum login_cue {
	CUE_START,     // none: it is ours to begin
	CUE_OK,        // +OK
	CUE_PROMPT,    // "+ text", "+ ", "+", and "+OK", as old Exchange servers say it
	CUE_CHALLENGE, // "+ BASE64"
	CUE_CLIENT,    // none: it is the client's
};

// Makes a move: adds to `out`, without CR LF.  `heard` is the challenge, or the
// client's token; decoded.
typedef enum login_result login_say_fn(struct login *login, struct str heard, struct text *out);

struct login_move {
	enum login_cue cue;
	enum login_stage stage; // once it is made
	const char *awaited;    // what follows
	login_say_fn *say;
};

enum { LOGIN_MOVES = 4 };

struct login_dialogue {
	struct login_move moves[LOGIN_MOVES];
	unsigned num;
	bool needs_user, needs_password; // of the credentials,
	bool needs_utf8;                 // and both as Unicode
	bool needs_timestamp;            // of the greeting
};

extern const struct login_dialogue login_pass, login_plain, login_cram_md5, login_apop;
extern const struct login_dialogue login_ntlm, login_master, login_master_plain, login_relayed;

// What comes before all moves where the store is to know its client: XCLIENT.
void login_say_xclient(const struct login *login, struct text *out);

// LOGIN_BROKEN, for this reason.
enum login_result login_break(struct login *login, const char *why);

// Adds bytes in base64.
void login_add_base64(struct text *out, struct str bytes);

// Adds the command AUTH and its mechanism.
enum login_result login_say_auth(struct text *out, struct str mechanism);

#endif
