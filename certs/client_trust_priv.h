// client_trust_priv.h: what client_trust.c (judging) and client_trust_files.c (files and
// shared memory) share.
#ifndef POPGATE_CERTS_CLIENT_TRUST_PRIV_H
#define POPGATE_CERTS_CLIENT_TRUST_PRIV_H

#include "certs/client_trust.h"

#include <openssl/x509.h>

#include "proxy/base/file_mark.h"

enum client_file_kind { CLIENT_FILE_ca, CLIENT_FILE_crl, CLIENT_FILES };

struct client_files {
	struct file_mark each[CLIENT_FILES];
};

struct client_trust {
	X509_STORE *store;
	X509 *authorities[CLIENT_AUTHORITIES_MAX];
	struct str names[CLIENT_AUTHORITIES_MAX];
	size_t num;
	STACK_OF(X509_CRL) * lists; // empty: nothing is looked up
	uint32_t slot;
	int fd;
	uint8_t id[CLIENT_TRUST_ID];

	// Where it was loaded.
	char *paths[CLIENT_FILES];  // NULL: it came from another process
	struct client_files judged; // what was taken or refused
	struct client_files seen;   // at the last look
	bool is_told;               // that a list has expired
};

// The contents of the two files, and for people what they are.
struct client_pem {
	struct str texts[CLIENT_FILES];
	const char *places[CLIENT_FILES];
};

// Fills in what judging needs.  False with the reason in *why.
__attribute__((warn_unused_result)) bool client_trust_take(
    struct client_trust *trust, const struct client_pem *pem, struct text *why);

#endif
