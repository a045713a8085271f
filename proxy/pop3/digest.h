// digest.h: APOP (RFC 1939 section 7) and CRAM-MD5 (RFC 2195): a password proven
// by the MD5 of it and of a text that was never used before.
//
// Pure.  Used by the session (APOP is a verb, CRAM-MD5 a mechanism), by verifiers
// that know passwords, and towards stores (backends/login).
#ifndef POPGATE_PROXY_POP3_DIGEST_H
#define POPGATE_PROXY_POP3_DIGEST_H

#include "proxy/base/text.h"

enum { DIGEST_SIZE = 16, DIGEST_HEX = 2 * DIGEST_SIZE, DIGEST_RANDOM = 16 };

// Room for a challenge of ours, whose host is at most DIGEST_HOST_MAX long.
enum { DIGEST_HOST_MAX = 255, DIGEST_ROOM = DIGEST_HEX + DIGEST_HOST_MAX + 4 };

enum digest_how { DIGEST_apop, DIGEST_cram_md5 };

// What a client says.
struct digest {
	enum digest_how how;
	struct str challenge; // heap: the text, "<" and ">" included
	uint8_t response[DIGEST_SIZE];
};

// "<RANDOM@HOST>", a message id (RFC 822) of letters, digits, '.' and '-' alone:
// some clients take nothing else.  Other characters of `host` are left out, and what
// is more than DIGEST_HOST_MAX bytes.
void digest_add_challenge(struct text *out, const uint8_t random[DIGEST_RANDOM], struct str host);

// The timestamp in a greeting: its first "<...@...>" without spaces, control bytes or
// a further "<" (RFC 822's msg-id, read freely).  False when there is none.
bool digest_find_timestamp(struct str greeting, struct str *out_timestamp);

// The right response to `challenge`.
void digest_respond(
    enum digest_how how, struct str challenge, struct str password, uint8_t out[DIGEST_SIZE]);

// In lower-case hex, as it is sent.
void digest_add_hex(struct text *out, const uint8_t response[DIGEST_SIZE]);

// Takes "NAME HEX" apart, as APOP's argument and CRAM-MD5's response have it; the
// name may hold spaces.  False when that is not its form.
__attribute__((warn_unused_result)) bool digest_parse(
    struct str text, struct str *out_name, uint8_t out_response[DIGEST_SIZE]);

// Whether the response is that of who knows the password; in constant time.
bool digest_matches(const struct digest *digest, struct str password);

#endif
