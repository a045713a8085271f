// ticket_keys.h: the supervisor's part in session tickets: new keys in time, old
// ones wiped in time, or those of the administrator's file.
//
// Called from the supervisor's loop; it alone writes the pages (proxy/net/tickets.h).
// The configuration that serves says what holds.  A key of our own seals for
// `ticket_rotation` and opens for `ticket_lifetime` after that; then nothing is left
// of it, here or in a worker, and who recorded a session of TLS 1.2 can no longer
// learn from us what its ticket held.  With a file, its keys and no others hold, and
// one that is taken out of it opens nothing from then on; a change is read once it has
// rested for a moment, since tools also write over a file in place; keys of before the option
// was given or taken away open their tickets until these have expired.
#ifndef POPGATE_PROXY_SERVER_TICKET_KEYS_H
#define POPGATE_PROXY_SERVER_TICKET_KEYS_H

#include "proxy/base/file_mark.h"
#include "proxy/server/generation.h"

// The zero state is ready.
struct ticket_keys {
	uint64_t look_ms;      // when to look at the file again
	struct file_mark mark; // of the file that was taken or refused last
	struct file_mark seen; // at the last look
};

// Before the first worker starts: there is a key to seal with.
void ticket_keys_prepare(struct ticket_keys *keys, const struct generations *generations,
    const struct config *config, uint64_t now_ms);

// Does what is due, and logs what came of it.
void ticket_keys_tick(
    struct ticket_keys *keys, const struct generations *generations, uint64_t now_ms);

// When something will be due; CLOCK_NEVER while no configuration serves.
uint64_t ticket_keys_next_due(
    const struct ticket_keys *keys, const struct generations *generations);

#endif
