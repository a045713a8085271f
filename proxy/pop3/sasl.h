// sasl.h: the AUTH exchange: base64 lines in, challenges out, a claim at the
// end.
//
// Pure.  The session begins an exchange with the argument of AUTH and hands
// it each further line; what a mechanism does with the bytes stands in its
// own file.  A mechanism is one function and one row of mechanisms.def.
#ifndef POPGATE_PROXY_POP3_SASL_H
#define POPGATE_PROXY_POP3_SASL_H

#include "proxy/pop3/claim.h"
#include "proxy/pop3/reply.h"

// Longest line of an exchange, CR LF included (RFC 5034 section 4: larger than
// any mechanism needs, and apart from the limit for commands).
enum { SASL_LINE_MAX = 12 * 1024 };

#define MECHANISM(token, name, claim, function) MECHANISM_##token,
enum mechanism {
#include "proxy/pop3/mechanisms.def"
	MECHANISMS
};
#undef MECHANISM

enum sasl_result {
	SASL_CHALLENGE, // send answer->challenge (raw bytes, yet to be encoded)
	SASL_CLAIM,     // answer->claim is made
	SASL_REFUSED,   // answer with answer->reply; the exchange is over
	SASL_ASK,       // ask a store: begin AUTH NTLM there with answer->token, then sasl_relay
};

// What mechanisms know of this connection and this login.  Borrowed from sasl_begin
// to sasl_done.
struct sasl_settings {
	const struct ntlm_settings *ntlm;
	bool ntlm_relayed;             // a store makes the challenge, and judges
	struct str host;               // names us in the challenge of CRAM-MD5
	uint8_t random[DIGEST_RANDOM]; // never used before, for that challenge

	// Of EXTERNAL: whom the client's certificate names, or why it names nobody; and
	// whether two names are the same one.
	const struct str *certificate_users;
	size_t num_certificate_users;
	const char *no_certificate_user;
	bool (*is_same_user)(struct str a, struct str b);
};

// An exchange under way; the zero state is none.  Owned by the session.
struct sasl {
	const struct sasl_settings *settings; // may be NULL for PLAIN and LOGIN
	enum mechanism mechanism;
	unsigned step;              // responses taken
	struct secret kept;         // what a mechanism needs again, such as LOGIN's user
	struct ntlm_exchange *ntlm; // of NTLM
};

// What a step leads to.  Slices are valid until the next step or sasl_done.
struct sasl_answer {
	struct str challenge;
	struct str token;    // of SASL_ASK: type 1, decoded
	struct str domain;   // of SASL_ASK: what type 1 names, or empty; nobody has judged it
	enum reply reply;    // of SASL_REFUSED
	const char *why;     // of SASL_REFUSED: more for the log; static, or NULL
	struct claim *claim; // the caller's, to be filled in
};

typedef enum sasl_result sasl_step_fn(
    struct sasl *sasl, const struct str *response, struct sasl_answer *answer);

sasl_step_fn sasl_plain;
sasl_step_fn sasl_login;
sasl_step_fn sasl_ntlm;
sasl_step_fn sasl_cram_md5;
sasl_step_fn sasl_external;

const char *mechanism_name(enum mechanism mechanism);
// The kind of claim that must be welcome.
enum claim_kind mechanism_claim(enum mechanism mechanism);

// MECHANISMS when there is none of that name.
enum mechanism mechanism_find(struct str name);

// Begins with the initial response as it stands in the AUTH line: empty for
// none, "=" for an empty one.
enum sasl_result sasl_begin(struct sasl *sasl, const struct sasl_settings *settings,
    enum mechanism mechanism, struct str initial, struct sasl_answer *answer);

// Goes on with a client's line; "*" cancels.
enum sasl_result sasl_continue(struct sasl *sasl, struct str line, struct sasl_answer *answer);

// Goes on after SASL_ASK with the store's challenge (type 2, decoded).
enum sasl_result sasl_relay(struct sasl *sasl, struct str challenge, struct sasl_answer *answer);

void sasl_done(struct sasl *sasl);

#endif
