// users_trial.c: fork, open, judge.  See users_trial.h.
#include "proxy/server/users_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/exit_status.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"
#include "proxy/server/descriptor.h"

enum { TRIAL_MS = 5000, REASON_ROOM = 512 };

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

// An end at any moment is an answer too, under a sanitizer as well.
static void expect_the_worst(void)
{
	static const int ends[] = {SIGABRT, SIGBUS, SIGSEGV};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], SIG_DFL);
}

static void forget(const struct users_trial_parent *parent)
{
	generations_forget(parent->generations);
	snapshot_wipe(parent->snapshot);
}

// The key may be the snapshot's.
static _Noreturn void open_in_child(const struct database_place *place,
    const struct sandbox_identity *identity, const uint8_t *key,
    const struct users_trial_parent *parent, int answer)
{
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	uint8_t own_key[USERS_KEY_SIZE];
	memcpy(own_key, key, sizeof(own_key));
	if (parent)
		forget(parent);
	descriptor_keep_only(answer, log_descriptor());
	expect_the_worst();
	sandbox_enter(identity);
	bool can_be_used = open_once(place, own_key, &why);
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
	else if (WIFSIGNALED(status)) {
		text_addf(why, "%s cannot be used: the process that opened it ", path);
		exit_status_add(why, status);
		text_add(why, STR(": it is damaged; move it away and put a copy in its place"));
	}
	return in_time && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

bool users_try(const struct database_place *place, const struct sandbox_identity *identity,
    const uint8_t key[USERS_KEY_SIZE], const struct users_trial_parent *parent, struct text *why)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		text_addf(why, "cannot open a pipe: %s", strerror(errno));
		return false;
	}
	pid_t child = fork();
	if (child == 0)
		open_in_child(place, identity, key, parent, ends[1]);
	close(ends[1]);
	bool can_be_used = child > 0 && judge(child, ends[0], place->path, why);
	if (child < 0)
		text_addf(why, "cannot start a process: %s", strerror(errno));
	close(ends[0]);
	return can_be_used;
}
