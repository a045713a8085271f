// users_watch.c: which file users.db is.  See users_watch.h.
#include "proxy/server/users_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/users/users.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"

enum { LOOK_MS = 1000, TRIAL_MS = 5000, REASON_ROOM = 512 };

// ---- the trial ----------------------------------------------------------

static bool open_once(const struct database_place *place, const uint8_t *key, struct text *why)
{
	const char *problem = NULL;
	struct users *users = users_open_at(place, DATABASE_READ, key, why);
	bool can_be_used = users && users_try_all(users, &problem);
	if (problem)
		text_addf(why, "%s cannot be used: %s", place->path, problem);
	users_close(&users);
	return can_be_used;
}

static _Noreturn void open_in_child(const struct database_place *place,
    const struct sandbox_identity *identity, const uint8_t *key, int answer)
{
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	sandbox_enter(identity);
	bool can_be_used = open_once(place, key, &why);
	bool told = write(answer, room, why.len) == (ssize_t)why.len;
	_exit(can_be_used && told ? EXIT_SUCCESS : EXIT_FAILURE);
}

// What it says, up to its end.  False when it has not ended in time.
static bool hear(int answer, struct text *said)
{
	uint64_t now, deadline_ms = clock_ms() + TRIAL_MS;
	while ((now = clock_ms()) < deadline_ms) {
		char room[REASON_ROOM];
		struct pollfd pollfd = {answer, POLLIN, 0};
		if (poll(&pollfd, 1, (int)(deadline_ms - now)) <= 0)
			continue;
		ssize_t len = read(answer, room, sizeof(room));
		if (len <= 0)
			return true;
		text_add(said, (struct str){room, (size_t)len});
	}
	return false;
}

static bool judge(pid_t child, int answer, const char *path, struct text *why)
{
	int status;
	bool in_time = hear(answer, why);
	if (!in_time)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!in_time)
		text_addf(why,
		    "%s cannot be used: opening it was not done after %d seconds: a process of the "
		    "workers' group holds its lock file, or it is damaged",
		    path, TRIAL_MS / 1000);
	else if (WIFSIGNALED(status))
		text_addf(why,
		    "%s cannot be used: it is damaged; move it away and put a copy in "
		    "its place",
		    path);
	return in_time && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

// LMDB trusts the file, and its lock file, to which the workers' group can write: what
// opens a damaged one may end at any moment, or never, and should not be root.
static bool try_place(const struct database_place *place, const struct sandbox_identity *identity,
    const uint8_t *key, struct text *why)
{
	int ends[2];
	if (!database_prepare(place, DATABASE_READ, why))
		return false;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		text_addf(why, "cannot open a pipe: %s", strerror(errno));
		return false;
	}
	pid_t child = fork();
	if (child == 0)
		open_in_child(place, identity, key, ends[1]);
	close(ends[1]);
	bool can_be_used = child > 0 && judge(child, ends[0], place->path, why);
	if (child < 0)
		text_addf(why, "cannot start a process: %s", strerror(errno));
	close(ends[0]);
	return can_be_used;
}

// ---- what there is ------------------------------------------------------

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
	watch->is_open = try_place(&place, identity, snapshot->users_key, why);
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
