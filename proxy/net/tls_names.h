// tls_names.h: host names in certificates and those that clients ask for.
//
// Pure.
#ifndef POPGATE_PROXY_NET_TLS_NAMES_H
#define POPGATE_PROXY_NET_TLS_NAMES_H

#include "proxy/base/str.h"

// From none to the best.
enum tls_match { TLS_MATCH_none, TLS_MATCH_wildcard, TLS_MATCH_exact };

// How a pattern, a name in small letters or one with "*." before it, fits a name, where
// case does not matter.  The star stands for one label as a whole (RFC 6125 section
// 6.4.3), and a star further in for itself.  One dot at the name's end counts for nothing.
enum tls_match tls_name_match(struct str pattern, struct str name);

// Whether a client may ask for it (RFC 6066 section 3): a host name, and no address.
// RFC 6066 has no dot at its end, but some clients pass on what was dialled, where one
// means the same name (RFC 1034 section 3.1), and more than one nothing.
bool tls_name_is_host(struct str name);

#endif
