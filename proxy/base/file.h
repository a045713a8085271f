// file.h: opens what an administrator has named, without ever waiting for it; and writes.
//
// Opening is used for the configuration, certificates and keys, by the supervisor too:
// opening a FIFO that nobody writes would leave it deaf to its signals.
#ifndef POPGATE_PROXY_BASE_FILE_H
#define POPGATE_PROXY_BASE_FILE_H

#include <stdio.h>

#include "proxy/base/text.h"

// For reading; the caller closes it.  NULL with errno set.
FILE *file_open(const char *path);

// The same as a descriptor, closed by execv; -1 with errno set.
int file_open_descriptor(const char *path);

// What errno says after file_open, for people.
const char *file_problem(void);

// What helps then, to stand behind it: "; do so", or "" where we know nothing.
const char *file_remedy(void);

// For files of keys: whether nobody but the owner, who is root or we, can read or
// write it.  False with the reason in *why.
__attribute__((warn_unused_result)) bool file_is_private(
    FILE *file, const char *path, struct text *why);

// All of the bytes, to a descriptor that waits; false with errno set.
__attribute__((warn_unused_result)) bool file_write(int fd, struct str bytes);

#endif
