// login.h: the part of the dialogue with a store that logs in there: what is
// told to it, and in which words.
//
// Pure: a line of the store in, a command out.  Driven by backends/upstream.c,
// which has the connection, the deadlines and the greeting; a backend's option
// `login` names the method (logins.def).  A client's own NTLM exchange is passed
// on instead whenever the credentials hold a token.
//
// What the store knows by now decides what a failure means, and so there is
// one word for it (enum login_stage) instead of a rule for each method.
#ifndef POPGATE_BACKENDS_LOGIN_LOGIN_H
#define POPGATE_BACKENDS_LOGIN_LOGIN_H

#include "proxy/base/addr.h"
#include "proxy/base/buf.h"
#include "proxy/config/config.h"
#include "proxy/pop3/ntlm/crypto.h"
#include "proxy/pop3/sasl.h"

// Who logs in.  Filled in by the session, which keeps it all until the end.
struct credentials {
	struct str user;     // the name at the store; not told when a token is relayed
	struct str password; // what the method tells or proves; empty: not known
	struct str token;    // type 1 of a client whose NTLM exchange is the store's; else empty
	bool is_verified;    // somebody else than the store has found that it is the user

	// For stores that want to know where the client is; NULL where they do not.
	const struct addr *client; // its address
	const struct addr *local;  // where it connected to
	const char *tls_version;   // NULL: in the clear
	uint64_t session;          // its id, as in our log
};

enum login_result {
	LOGIN_SEND,       // send what stands in `out`
	LOGIN_WAIT,       // nothing to send: the store has more to answer
	LOGIN_CHALLENGED, // `out` is the store's challenge (decoded) for the client; see
	                  // login_relay
	LOGIN_ACCEPTED,   // logged in
	LOGIN_REFUSED,    // this client is not let in
	LOGIN_BROKEN,     // the store, or what it is told, is not as it must be; see login->why
};

// What a store knows.
enum login_stage {
	LOGIN_FRESH, // nothing of the client: any other store will do as well
	LOGIN_NAMED, // who it is
	LOGIN_BOUND, // its challenge is the client's: no other store will do
	LOGIN_ASKED, // the password, or a proof of it
};

// The longest line that a store is told, CR LF and NUL included: a token of the
// client's (RFC 5034 section 4 sets no limit but our own).
enum { LOGIN_LINE_MAX = SASL_LINE_MAX + 1 };

// The longest line that a store may say, CR LF included.
enum { STORE_LINE_MAX = 4096 };

struct login_dialogue;

// One login; embedded in its owner.  The first members are filled in by the caller
// and borrowed until the end, the rest is zero or what an earlier login left.
struct login {
	const struct backend_options *options;
	const struct credentials *credentials;
	struct str master_password;
	uint64_t filetime; // for NTLM: now, in units of 100 ns since 1601,
	uint8_t nonce[8];  // and random bytes
	// And the channel binding to the store's certificate, where there is one; set
	// before login_begin.
	uint8_t binding[NTLM_KEY];
	bool is_bound;

	const struct login_dialogue *method;
	enum login_stage stage;
	unsigned made;        // moves so far
	unsigned ahead;       // of them: made before the store answered the one before
	bool introduced;      // what comes before the method's moves is over
	const char *awaited;  // what the store is to say next, for the log; static
	const char *why;      // of LOGIN_BROKEN and of login_prepare, for the log; static
	struct buf timestamp; // of the greeting, for APOP (RFC 1939 section 7)
};

// Prepares for a server, before it is even called.  LOGIN_SEND: go on;
// LOGIN_REFUSED: no store could be told this name and password; LOGIN_BROKEN: the
// method cannot be used for this client; login->why says more.
enum login_result login_prepare(struct login *login);

// Takes the greeting; false, with login->why, when the method cannot be used here.
__attribute__((warn_unused_result)) bool login_greeting(struct login *login, struct str line);

// The first command, once the connection is as safe as it will be; behind it what a
// store with PIPELINING (RFC 2449 section 6.6) can be told at once.  `out` is empty and
// has room for LOGIN_LINE_MAX; the caller wipes it.
enum login_result login_begin(struct login *login, struct text *out);

// The store's next line, without its end.
enum login_result login_take(struct login *login, struct str line, struct text *out);

// The client's answer (decoded) to LOGIN_CHALLENGED.
enum login_result login_relay(struct login *login, struct str token, struct text *out);

void login_done(struct login *login);

#endif
