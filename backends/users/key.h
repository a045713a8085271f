// key.h: the file with the key that users.db is sealed with.
//
// Read by the supervisor (with its rights, before the workers start) and by
// `popgate user`, which makes it with the first user.  One line of 64 hexadecimal
// digits, so that it can be kept on paper.
#ifndef POPGATE_BACKENDS_USERS_KEY_H
#define POPGATE_BACKENDS_USERS_KEY_H

#include "proxy/base/text.h"

enum { USERS_KEY_SIZE = 32 };

// False with the reason in *why when the file cannot be read, others can read it,
// or it holds no key.  The caller wipes the key.
__attribute__((warn_unused_result)) bool users_key_load(
    const char *path, uint8_t out_key[USERS_KEY_SIZE], struct text *why);

// Makes the file with a new random key.  False when it is already there or cannot
// be written; nothing is left of it then.
__attribute__((warn_unused_result)) bool users_key_make(const char *path, struct text *why);

#endif
