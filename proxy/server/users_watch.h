// users_watch.h: users.db, as far as the supervisor has to do with it: its lock file
// before workers start, and another file in its place afterwards.
//
// What is changed within the file, workers see by themselves.  Another file they
// cannot open (filter.def): once a second the supervisor looks whether there is
// one, and then a reload starts workers that have.
#ifndef POPGATE_PROXY_SERVER_USERS_WATCH_H
#define POPGATE_PROXY_SERVER_USERS_WATCH_H

#include <sys/types.h>

#include "proxy/server/generation.h"

// The zero state is ready.
struct users_watch {
	uint64_t look_ms; // when to look again
	dev_t device;     // of the file that the newest workers have
	ino_t inode;      // 0: none is known
};

// Opens users.db as workers will, with the rights to make them a lock file, and
// notes which file it is.  False with the reason in *why when they could not use it.
__attribute__((warn_unused_result)) bool users_watch_prepare(struct users_watch *watch,
    const struct snapshot *snapshot, const struct sandbox_identity *identity, struct text *why);

// True, and logged, when there is another file than the one noted; that is noted then.
bool users_watch_tick(
    struct users_watch *watch, const struct generations *generations, uint64_t now_ms);

// When something will be due; CLOCK_NEVER while nobody is judged by users.db.
uint64_t users_watch_next_due(
    const struct users_watch *watch, const struct generations *generations);

#endif
