// tables_watch.h: keeps the tables of addresses as their files are, without a
// reload.
//
// Driven by the supervisor's loop.  Once a second the files of every generation
// that has a snapshot are looked at (policy/tables.h); a new table is put in the
// snapshot, which workers to come inherit, and sent to those that run.  Workers
// of before an upgrade get none: their generation has no snapshot here, and the
// next one, which the upgrade starts, has read the files itself.
//
// Reading a million prefixes keeps the supervisor busy for half a second; no
// session waits for it.
#ifndef POPGATE_PROXY_SERVER_TABLES_WATCH_H
#define POPGATE_PROXY_SERVER_TABLES_WATCH_H

#include "proxy/server/generation.h"

// The zero state is ready.
struct tables_watch {
	uint64_t look_ms;    // when to look again
	uint64_t age_ms;     // when to look at the ages again
	unsigned generation; // whose ages were looked at
};

// Does what is due, and logs what came of it.
void tables_watch_tick(
    struct tables_watch *watch, const struct generations *generations, uint64_t now_ms);

// When something will be due; CLOCK_NEVER while no configuration names a file.
uint64_t tables_watch_next_due(
    const struct tables_watch *watch, const struct generations *generations);

#endif
