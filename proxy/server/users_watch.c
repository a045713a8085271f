// users_watch.c: which file users.db is.  See users_watch.h.
#include "proxy/server/users_watch.h"

#include "backends/users/users.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"
#include "proxy/server/users_trial.h"

enum { LOOK_MS = 1000 };

bool users_watch_prepare(struct users_watch *watch, const struct generations *generations,
    struct snapshot *snapshot, const struct sandbox_identity *identity, struct text *why)
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
	const struct users_trial_parent parent = {generations, snapshot};
	watch->candidate = (struct users_mark){
	    .database = file_mark_of(options->database),
	    .key = file_mark_of(options->key),
	    .is_open = true,
	};
	return database_prepare(&place, DATABASE_READ, why) &&
	       users_try(&place, identity, snapshot->users_key, &parent, why);
}

void users_watch_adopt(struct users_watch *watch)
{
	watch->tried = watch->candidate;
}

// Of the file that workers have, users come and go, and it only grows.  Any change to
// one that they could not open, or to its key, is worth another try.
static bool is_news(const struct users_mark *now, const struct users_mark *tried)
{
	if (tried->is_open)
		return !file_mark_is_same_file(&now->database, &tried->database) ||
		       now->database.size < tried->database.size;
	return !file_mark_is_unchanged(&now->database, &tried->database) ||
	       !file_mark_is_unchanged(&now->key, &tried->key);
}

// NULL when nobody is judged by users.db.
static const struct generation *serving_users(const struct generations *generations)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	return serving && serving->snapshot && serving->snapshot->has_users ? serving : NULL;
}

static bool lacks_users(const struct generation *generation)
{
	for (size_t i = 0; i < generation->num_workers; i++)
		if (generation->workers[i].lacks_users)
			return true;
	return false;
}

// True when the file that is there is worth a try.
static bool look(struct users_watch *watch, const struct generation *generation)
{
	const struct users_options *options = &generation->snapshot->config->users;
	struct users_mark now = {
	    file_mark_of(options->database), file_mark_of(options->key), false};
	bool is_there = now.database.inode;
	bool is_wanted = watch->tried.is_open && lacks_users(generation);
	if (is_there && !is_wanted && !is_news(&now, &watch->tried)) {
		watch->tried.database.size = now.database.size;
		return false;
	}
	watch->tried = now;
	return is_there;
}

bool users_watch_tick(
    struct users_watch *watch, const struct generations *generations, uint64_t now_ms)
{
	const struct generation *serving = serving_users(generations);
	if (!serving || now_ms < watch->look_ms)
		return false;
	watch->look_ms = now_ms + LOOK_MS;
	if (!look(watch, serving))
		return false;
	log_why(LOG_users_replaced, "%s", serving->snapshot->config->users.database);
	return true;
}

uint64_t users_watch_next_due(
    const struct users_watch *watch, const struct generations *generations)
{
	return serving_users(generations) ? watch->look_ms : CLOCK_NEVER;
}
