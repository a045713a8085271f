// ticket_file.h: reads a file of keys for TLS session tickets, as several machines
// share one.
//
// Lines of base64, each of 48 or 80 random bytes, which is what HAProxy's
// tls-ticket-keys and nginx's ssl_session_ticket_key take too; empty lines and those
// that begin with # are passed over.  What we seal with is derived from all of a
// line's bytes, so a line that another program uses as well tells neither of them
// anything.
#ifndef POPGATE_CERTS_TICKET_FILE_H
#define POPGATE_CERTS_TICKET_FILE_H

#include "proxy/base/text.h"
#include "proxy/net/tickets.h"

enum { TICKET_FILE_KEYS_MAX = 16 };

struct ticket_file {
	struct ticket_key keys[TICKET_FILE_KEYS_MAX]; // the first seals, all open
	size_t num_keys;
};

// False with the reason in *why when it cannot be read, others than root and we can
// read or write it, or not every line holds a key.  The caller wipes it.
__attribute__((warn_unused_result)) bool ticket_file_load(
    const char *path, struct ticket_file *out_file, struct text *why);

#endif
