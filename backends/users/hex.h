// hex.h: keys and hashes as hexadecimal digits, in files of ours and of others.
#ifndef POPGATE_BACKENDS_USERS_HEX_H
#define POPGATE_BACKENDS_USERS_HEX_H

#include "proxy/base/text.h"

// Reads exactly `size` bytes from twice as many digits, in capital or small
// letters.  False when that is not what s is; then `out` is undefined.
__attribute__((warn_unused_result)) bool hex_read(struct str s, uint8_t *out, size_t size);

// In small letters.
void hex_add(struct text *text, const uint8_t *bytes, size_t size);

#endif
