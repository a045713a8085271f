// secret.h: a password on the heap: compared in constant time, wiped when it
// is let go, and with no way to print it.
//
// Made where a claim is parsed, owned by the claim, read only by the code
// that sends it to a backend or judges it.  The zero state is "no secret".
#ifndef POPGATE_PROXY_BASE_SECRET_H
#define POPGATE_PROXY_BASE_SECRET_H

#include "proxy/base/str.h"

struct secret {
	char *at;
	size_t len;
};

// Takes a copy of s; what was there before is wiped.
void secret_set(struct secret *secret, struct str s);

// The bytes, to be handed to a peer or a verifier and nothing else.
static inline struct str secret_reveal(const struct secret *secret)
{
	return (struct str){secret->at, secret->len};
}

// Wipes and frees.
void secret_done(struct secret *secret);

// Equality in time that depends on the lengths only.
bool secret_equals(const struct secret *secret, struct str s);

#endif
