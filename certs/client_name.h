// client_name.h: whose certificate a client has shown: the names in it that can be a
// user's, and what the log says of it.
//
// Pure: a certificate (DER) in, text out.  Asked by the session once TLS has judged
// the certificate (client_trust.h): here nothing is believed or disbelieved.
//
// A certificate has what it has: a name of the kind that counts and that no login could
// have makes it nobody's, and no other name is tried in its place.  An authority that
// can be talked into a strange name shall not thereby choose which name counts.
#ifndef POPGATE_CERTS_CLIENT_NAME_H
#define POPGATE_CERTS_CLIENT_NAME_H

#include "proxy/base/text.h"

#define CLIENT_NAME(token, word) CLIENT_NAME_##token,
enum client_name {
#include "certs/client_names.def"
	CLIENT_NAME_KINDS
};
#undef CLIENT_NAME

// The kind of this word of `client_cert_user`; CLIENT_NAME_KINDS when there is none.
enum client_name client_name_find(struct str word);

enum {
	CLIENT_NAMES_MAX = 16,
	CLIENT_NAME_MAX = 248, // bytes of UTF-8: more does not fit a POP3 command
};

// Names of one kind, in the certificate's order; borrowed from `room`.
struct client_names {
	struct str at[CLIENT_NAMES_MAX];
	size_t num;
	char room[CLIENT_NAMES_MAX * CLIENT_NAME_MAX];
};

// The names of the first kind of `order` of which the certificate has any:
//
//   email        rfc822Name of the subject alternative name (RFC 5280 section 4.2.1.6)
//   upn          otherName 1.3.6.1.4.1.311.20.2.3 there, which Windows has
//   dns          dNSName there
//   common-name  of the subject; the last one, which is the most specific
//
// False with a static reason in *why, for the log, when there is none, when there are
// more than CLIENT_NAMES_MAX, or when one of them cannot be a user's: empty or too long,
// no ASCII where it must be (email, dns), no Unicode, with control bytes, with a "\\" or
// "/", which a login takes for the end of a domain, or with blanks around a part, which a
// login does not see (backends/account.h); of email and upn, anything but one user and one
// domain without blanks: a bare name could be taken for a user of any domain.
__attribute__((warn_unused_result)) bool client_names(struct str der, const enum client_name *order,
    size_t num_order, struct client_names *out, const char **why);

// What people know a certificate by.
struct client_certificate {
	char subject[256];    // RFC 4514, in UTF-8; cut when it is longer
	char serial[65];      // hexadecimal; cut when it is longer
	char fingerprint[65]; // SHA-256, hexadecimal
};

// False, and all empty, when the certificate is damaged.
__attribute__((warn_unused_result)) bool client_certificate_describe(
    struct str der, struct client_certificate *out);

#endif
