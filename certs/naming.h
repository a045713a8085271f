// naming.h: whom a certificate names: the fields of its subject, and the host names
// that clients compare with what they dialled.
//
// Filled in from a command line, asked for by request.c and issue.c.  Nothing is
// owned.  Host names come as the DNS has them ("xn--..." for other scripts):
// policy/domain.h makes them so, and layers above introduce the two.
#ifndef POPGATE_CERTS_NAMING_H
#define POPGATE_CERTS_NAMING_H

#include "proxy/base/text.h"

struct X509_name_st;
struct stack_st_GENERAL_NAME;

#define NAME_FIELD(name, ...) NAME_FIELD_##name,
enum name_field {
#include "certs/name_fields.def"
	NAME_FIELDS
};
#undef NAME_FIELD

struct naming {
	const char *fields[NAME_FIELDS]; // UTF-8; NULL: not said
	const char *const *names;        // host names, "*." before one, or addresses
	size_t num_names;                // the common name need not be among them
};

// Whether all of it may stand in a certificate: lengths, characters, names of
// labels of letters, digits and "-" (RFC 1034 section 3.5), a star as the whole
// first label only (RFC 9525 section 6.3).  False with the reason in *why.
__attribute__((warn_unused_result)) bool naming_check(
    const struct naming *naming, struct text *why);

// Whether clients could dial it: a host name of such labels, or an address.
bool naming_is_host(struct str name);

// Of a checked naming; the caller frees the results with BoringSSL's functions.
// The alternative names have each name once, the common name first.
struct X509_name_st *naming_subject(const struct naming *naming);
struct stack_st_GENERAL_NAME *naming_alternatives(const struct naming *naming);

#endif
