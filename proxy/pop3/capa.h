// capa.h: the capability list (RFC 2449 section 5) for a session as it is now.
//
// Pure.  It promises what popgate does before the login and what the backend
// is known to do after it, nothing else: no STLS where TLS is active or not to
// be had, no USER or SASL where a login would be refused.
#ifndef POPGATE_PROXY_POP3_CAPA_H
#define POPGATE_PROXY_POP3_CAPA_H

#include "proxy/base/text.h"

struct capa {
	bool stls;       // offered now
	unsigned claims; // kinds of claim welcome now
	bool top;        // the backend's
	bool uidl;       // the backend's
	bool pipelining; // the backend's
};

// Room for either list.
enum { CAPA_SIZE = 512 };

// The whole answer to CAPA, from "+OK" to ".".
void capa_list(const struct capa *capa, struct text *out);

// The whole answer to AUTH without a mechanism (RFC 1734's successor leaves it
// out; Microsoft's clients ask, [MS-POP3] section 2.2.1).
void capa_list_mechanisms(const struct capa *capa, struct text *out);

#endif
