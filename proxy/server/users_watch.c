// users_watch.c: which file users.db is.  See users_watch.h.
#include "proxy/server/users_watch.h"

#include <sys/stat.h>

#include "backends/users/users.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"
#include "proxy/server/users_trial.h"

enum { LOOK_MS = 1000 };

// The zero state when there is no file.
static struct file_mark mark_of(const char *path)
{
	struct stat status;
	if (stat(path, &status) < 0)
		return (struct file_mark){0};
	return (struct file_mark){
	    .device = status.st_dev,
	    .inode = status.st_ino,
	    .size = status.st_size,
	    .changed = status.st_ctim,
	};
}

static bool is_same_file(const struct file_mark *a, const struct file_mark *b)
{
	return a->device == b->device && a->inode == b->inode;
}

static bool is_unchanged(const struct file_mark *a, const struct file_mark *b)
{
	return is_same_file(a, b) && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

bool users_watch_prepare(struct users_watch *watch, const struct snapshot *snapshot,
    const struct sandbox_identity *identity, struct text *why)
{
	if (!snapshot->has_users)
		return true;
	const struct users_options *options = &snapshot->config->users;
	const struct database_place place = {
	    .path = options->database,
	    .size_max = USERS_SIZE_MAX,
	    .is_shared = identity->change,
	    .group = identity->gid,
	};
	watch->database = mark_of(options->database);
	watch->key = mark_of(options->key);
	watch->is_open = database_prepare(&place, DATABASE_READ, why) &&
	                 users_try(&place, identity, snapshot->users_key, why);
	return watch->is_open;
}

// Of the file that workers have, users come and go, and it only grows.  Any change to
// one that they could not open, or to its key, is worth another try.
static bool is_news(
    const struct users_watch *watch, const struct file_mark *database, const struct file_mark *key)
{
	if (watch->is_open)
		return !is_same_file(database, &watch->database) ||
		       database->size < watch->database.size;
	return !is_unchanged(database, &watch->database) || !is_unchanged(key, &watch->key);
}

// NULL when nobody is judged by users.db.
static const struct users_options *options_of(const struct generations *generations)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	bool has_users = serving && serving->snapshot && serving->snapshot->has_users;
	return has_users ? &serving->snapshot->config->users : NULL;
}

bool users_watch_tick(
    struct users_watch *watch, const struct generations *generations, uint64_t now_ms)
{
	const struct users_options *options = options_of(generations);
	if (!options || now_ms < watch->look_ms)
		return false;
	watch->look_ms = now_ms + LOOK_MS;
	struct file_mark database = mark_of(options->database), key = mark_of(options->key);
	if (!database.inode)
		return false;
	if (!is_news(watch, &database, &key)) {
		watch->database.size = database.size;
		return false;
	}
	*watch = (struct users_watch){.look_ms = watch->look_ms, .database = database, .key = key};
	log_why(LOG_users_replaced, "%s", options->database);
	return true;
}

uint64_t users_watch_next_due(
    const struct users_watch *watch, const struct generations *generations)
{
	return options_of(generations) ? watch->look_ms : CLOCK_NEVER;
}
