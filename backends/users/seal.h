// seal.h: closes and opens records by AES-256-GCM with the key of the key file.
//
// What is closed under one name opens under that name only (the name is the
// additional data), so that records cannot be exchanged for one another.  The
// place that includes openssl/aead.h.
//
// Not done: a guard against putting an old record of the same user back.  Who can
// write the database can also remove users from it.
#ifndef POPGATE_BACKENDS_USERS_SEAL_H
#define POPGATE_BACKENDS_USERS_SEAL_H

#include "backends/users/key.h"
#include "proxy/base/str.h"

// What a seal adds: version 1, nonce 12, tag 16.
enum { SEAL_OVERHEAD = 1 + 12 + 16 };

struct seal;

// The key is copied.
struct seal *seal_new(const uint8_t key[USERS_KEY_SIZE]);

// Closes `plain` into `out`, which has room for SEAL_OVERHEAD bytes more; returns
// how many it takes.
size_t seal_close(const struct seal *seal, struct str name, struct str plain, uint8_t *out);

// Opens into `out`, which has room for `sealed.len` bytes.  False when it is not
// what was closed under this name with this key.
__attribute__((warn_unused_result)) bool seal_open(
    const struct seal *seal, struct str name, struct str sealed, uint8_t *out, size_t *out_len);

// Wipes and frees; NULL is allowed.
void seal_free(struct seal **seal);

#endif
