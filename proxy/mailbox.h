// mailbox.h: where a user's mailbox is, by the map, without a client.
//
// For the command `explain`.  What it says is true of a login by password whose
// domain, if there is one, is good: what `popgate user` keeps of the user goes
// before the map, and a domain that nobody has checked does not count
// (proxy/session/identity.c).
#ifndef POPGATE_PROXY_MAILBOX_H
#define POPGATE_PROXY_MAILBOX_H

#include "backends/route.h"

struct mailbox {
	const char *why;    // the user is refused, whatever the password; static.  NULL: not
	struct route route; // where it is, unless refused
};

// For a client that asks in TLS for a host name ("": for none).  Fills *out in, which the caller
// gives to mailbox_done.  Reads the map's files each time.
void mailbox_find(const struct config *config, const struct listener_config *listener,
    struct str server_name, struct str user, struct mailbox *out);
void mailbox_done(struct mailbox *mailbox);

#endif
