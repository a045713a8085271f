// client_trust_watch.h: keeps the authorities that vouch for clients, and their revocation
// lists, as the files are, without a reload: such a list is made anew every day.
//
// Driven by the supervisor's loop.  Twice a second the files of every generation that
// has a snapshot are looked at (certs/client_trust.h), and are taken when they have not
// changed from one look to the next; what is new is put in the snapshot, which workers
// to come inherit, and sent to those that run.  Workers of before an upgrade get none,
// as with tables of addresses (tables_watch.h).
#ifndef POPGATE_PROXY_SERVER_CLIENT_TRUST_WATCH_H
#define POPGATE_PROXY_SERVER_CLIENT_TRUST_WATCH_H

#include "proxy/server/generation.h"

// The zero state is ready.
struct client_trust_watch {
	uint64_t look_ms; // when to look again
};

// Does what is due, and logs what came of it.
void client_trust_watch_tick(
    struct client_trust_watch *watch, const struct generations *generations, uint64_t now_ms);

// When something will be due; CLOCK_NEVER while no listener asks for certificates.
uint64_t client_trust_watch_next_due(
    const struct client_trust_watch *watch, const struct generations *generations);

#endif
