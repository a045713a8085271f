// describe.h: prints what certificates and requests say, for `popgate cert show`.
#ifndef POPGATE_CERTS_DESCRIBE_H
#define POPGATE_CERTS_DESCRIBE_H

#include <stdio.h>

#include "proxy/base/text.h"

struct bundle;

// All certificates, in their order; `now` in seconds since 1970.
void describe_bundle(const struct bundle *bundle, int64_t now, FILE *out);

// Prints the file's request, or its certificates.  False with the reason in *why
// when it has neither.
__attribute__((warn_unused_result)) bool describe_file(
    const char *path, int64_t now, FILE *out, struct text *why);

#endif
