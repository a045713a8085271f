// users_watch.h: users.db, as far as the supervisor has to do with it: its lock file
// before workers start, and another file in its place afterwards.
//
// What is changed within the file, workers see by themselves.  Another file they
// cannot open (filter.def), and one that was emptied they no longer read: once a
// second the supervisor looks whether there is one, and then a reload starts workers
// that have; so it does for a worker in the place of a dead one that did not find it.
// One that cannot be used is refused with its reason, and tried again when it, or the
// key file, has changed.
//
// The supervisor itself reads neither users.db nor its lock file, since damaged ones may
// be the end of who does: see users_trial.h.
#ifndef POPGATE_PROXY_SERVER_USERS_WATCH_H
#define POPGATE_PROXY_SERVER_USERS_WATCH_H

#include "proxy/base/file_mark.h"
#include "proxy/server/generation.h"

struct users_mark {
	struct file_mark database, key;
	bool is_open; // workers have it
};

// The zero state is ready.
struct users_watch {
	uint64_t look_ms;            // when to look again
	struct users_mark tried;     // of the generation that serves
	struct users_mark candidate; // of one that may
};

// Makes workers a lock file and opens users.db as they will.  False with the reason in
// *why when they could not use it.  Waits for the file, some seconds at most.
__attribute__((warn_unused_result)) bool users_watch_prepare(struct users_watch *watch,
    const struct generations *generations, struct snapshot *snapshot,
    const struct sandbox_identity *identity, struct text *why);

// The generation that was prepared last serves now.
void users_watch_adopt(struct users_watch *watch);

// True, and logged, when there is another file than the one noted, or one that was
// refused is another now; that is noted then.
bool users_watch_tick(
    struct users_watch *watch, const struct generations *generations, uint64_t now_ms);

// When something will be due; CLOCK_NEVER while nobody is judged by users.db.
uint64_t users_watch_next_due(
    const struct users_watch *watch, const struct generations *generations);

#endif
