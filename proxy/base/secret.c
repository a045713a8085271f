// secret.c: keeping and wiping passwords.  See secret.h.
#include "proxy/base/secret.h"

#include <stdlib.h>

#include "proxy/base/die.h"

void secret_set(struct secret *secret, struct str s)
{
	char *copy = xmalloc(s.len + 1);
	if (s.len)
		memcpy(copy, s.at, s.len);
	secret_done(secret);
	*secret = (struct secret){copy, s.len};
}

void secret_done(struct secret *secret)
{
	if (secret->at)
		explicit_bzero(secret->at, secret->len);
	free(secret->at);
	*secret = (struct secret){0};
}

bool secret_equals(const struct secret *secret, struct str s)
{
	unsigned char difference = 0;
	if (secret->len != s.len)
		return false;
	for (size_t i = 0; i < s.len; i++)
		difference |= (unsigned char)(secret->at[i] ^ s.at[i]);
	return difference == 0;
}
