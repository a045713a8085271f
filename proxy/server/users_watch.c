// users_watch.c: which file users.db is.  See users_watch.h.
#include "proxy/server/users_watch.h"

#include <sys/stat.h>

#include "backends/users/users.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"

enum { LOOK_MS = 1000 };

// False while there is no file.
static bool note(struct users_watch *watch, const char *path)
{
	struct stat status;
	if (stat(path, &status) < 0)
		return false;
	bool is_another = status.st_dev != watch->device || status.st_ino != watch->inode;
	watch->device = status.st_dev;
	watch->inode = status.st_ino;
	return is_another;
}

bool users_watch_prepare(struct users_watch *watch, const struct snapshot *snapshot,
    const struct sandbox_identity *identity, struct text *why)
{
	if (!snapshot->has_users)
		return true;
	const struct database_place place = {
	    .path = snapshot->config->users.database,
	    .size_max = USERS_SIZE_MAX,
	    .is_shared = identity->change,
	    .group = identity->gid,
	};
	note(watch, place.path);
	struct users *users = users_open_at(&place, DATABASE_READ, snapshot->users_key, why);
	bool can_be_used = users;
	users_close(&users);
	return can_be_used;
}

// NULL when nobody is judged by users.db.
static const char *path_of(const struct generations *generations)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	bool has_users = serving && serving->snapshot && serving->snapshot->has_users;
	return has_users ? serving->snapshot->config->users.database : NULL;
}

bool users_watch_tick(
    struct users_watch *watch, const struct generations *generations, uint64_t now_ms)
{
	const char *path = path_of(generations);
	if (!path || now_ms < watch->look_ms)
		return false;
	watch->look_ms = now_ms + LOOK_MS;
	if (!note(watch, path))
		return false;
	log_why(LOG_users_replaced, "%s", path);
	return true;
}

uint64_t users_watch_next_due(
    const struct users_watch *watch, const struct generations *generations)
{
	return path_of(generations) ? watch->look_ms : CLOCK_NEVER;
}
