// input.h: reads a whole file that an administrator has named.
//
// For whoever takes certificates, requests and keys apart.  The bytes are read
// without a copy that nobody would wipe, since they may be a private key's.
#ifndef POPGATE_CERTS_INPUT_H
#define POPGATE_CERTS_INPUT_H

#include "proxy/base/buf.h"
#include "proxy/base/text.h"

// Larger files are refused: the largest chain with all its texts is far smaller.
enum { INPUT_MAX = 1024 * 1024 };

// The file's bytes into *out, which is empty before; the caller ends it with
// buf_done.  `what` says what the file should be, such as "private key".  False
// with the reason in *why when it cannot be read, is empty or too large.
__attribute__((warn_unused_result)) bool input_read(
    const char *path, const char *what, struct buf *out, struct text *why);

// The same of an open file, from its beginning; the path is for messages.
__attribute__((warn_unused_result)) bool input_read_descriptor(
    int fd, const char *path, const char *what, struct buf *out, struct text *why);

#endif
