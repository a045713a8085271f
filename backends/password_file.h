// password_file.h: reads a password that an administrator keeps in a file of its
// own, so that it stands in no configuration.
//
// Called with a snapshot, by the supervisor, which may read what workers may not.
#ifndef POPGATE_BACKENDS_PASSWORD_FILE_H
#define POPGATE_BACKENDS_PASSWORD_FILE_H

#include "proxy/base/secret.h"
#include "proxy/base/text.h"

// Takes the file's one line, without its end.  False with the reason in *why when
// it cannot be read, is open to others than its owner and group, or holds nothing
// that could be told to a store.
__attribute__((warn_unused_result)) bool password_file_read(
    const char *path, struct secret *out_password, struct text *why);

#endif
