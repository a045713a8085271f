// bundle.h: the certificates of one or several files, in whatever form authorities
// send them: PEM with texts between, DER, or PKCS #7 without a signature (.p7b, RFC
// 5652) in either.
//
// Read by `popgate cert`.  The zero state is an empty bundle, which owns what is
// added to it; bundle_done frees it.
#ifndef POPGATE_CERTS_BUNDLE_H
#define POPGATE_CERTS_BUNDLE_H

#include "proxy/base/text.h"

struct x509_st;

enum { BUNDLE_MAX = 64 };

struct bundle {
	struct x509_st *at[BUNDLE_MAX]; // in the order of the files
	size_t num;
};

// Adds those of a file.  False with the reason in *why when it cannot be read, holds
// none or a damaged one, or there are too many.
__attribute__((warn_unused_result)) bool bundle_add_file(
    struct bundle *bundle, const char *path, struct text *why);

// The same of bytes; the reason does not name the file.
__attribute__((warn_unused_result)) bool bundle_add(
    struct bundle *bundle, struct str bytes, struct text *why);

void bundle_done(struct bundle *bundle);

#endif
