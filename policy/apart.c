// apart.c: fork, work, wait.  See apart.h.
#include "policy/apart.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/exit_status.h"

// A status that no library and no sanitizer ends a process with.
enum { REFUSED = 77, SAID_MAX = 1024 };

enum {
	MS_PER_S = 1000,
	NAP_MS = 5,      // between looks at the child where the kernel cannot tell
	DYING_MS = 1000, // for a process that was killed to be gone
};

// A sanitizer's own memory has addresses without end.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const rlim_t room_bytes = RLIM_INFINITY;
#else
static const rlim_t room_bytes = 1024 * 1024 * 1024;
#endif

// ---- the child ----------------------------------------------------------

// The bytes of addresses in use.
static bool measure(rlim_t *out_bytes)
{
	char line[256];
	FILE *file = fopen("/proc/self/statm", "re");
	bool is_read = file && fgets(line, sizeof(line), file);
	if (file)
		fclose(file);
	if (is_read)
		*out_bytes = strtoull(line, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
	return is_read;
}

static bool limit_memory(struct text *why)
{
	rlim_t used;
	struct rlimit memory = {0};
	if (room_bytes == RLIM_INFINITY)
		return true;
	if (!measure(&used)) {
		text_addf(why, "cannot read /proc/self/statm, to limit the memory of reading it");
		return false;
	}
	getrlimit(RLIMIT_AS, &memory);
	if (memory.rlim_cur > used + room_bytes)
		memory.rlim_cur = used + room_bytes;
	setrlimit(RLIMIT_AS, &memory);
	return true;
}

// Should the caller die, its clock is no longer there: the other two remain.
static void limit_time(unsigned seconds)
{
	struct rlimit time = {seconds, seconds}, core = {0, 0};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CPU, &time);
	setrlimit(RLIMIT_CORE, &core);
}

static _Noreturn void be_child(apart_fn *work, void *context, unsigned seconds, char *said)
{
	struct text why = text_in(said, SAID_MAX);
	limit_time(seconds);
	_exit(limit_memory(&why) && work(context, &why) ? EXIT_SUCCESS : REFUSED);
}

// ---- the caller ---------------------------------------------------------

static bool judge(int status, const char *said, struct text *why)
{
	if (status == 0)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
		text_addf(why, "%.*s", SAID_MAX - 1, said);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		text_addf(why, "it is damaged: reading it took too much time or memory");
	else {
		text_add(why, STR("it is damaged: the process that read it "));
		exit_status_add(why, status);
	}
	return false;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / 1000000;
}

// What waitpid(2) says, 0 when the child has not ended within so many
// milliseconds.  Without a descriptor of it, poll(2) only passes the time.
static pid_t wait_until_ended(pid_t pid, int pidfd, int64_t ms, int *out_status)
{
	struct pollfd child = {pidfd, POLLIN, 0};
	int64_t left, deadline = now_ms() + ms;
	pid_t ended;
	while ((ended = waitpid(pid, out_status, WNOHANG)) == 0 && (left = deadline - now_ms()) > 0)
		poll(&child, 1, (int)(pidfd < 0 && left > NAP_MS ? NAP_MS : left));
	return ended;
}

static void give_up(pid_t pid, int pidfd, unsigned seconds, struct text *why)
{
	int status;
	kill(pid, SIGKILL);
	bool is_gone = wait_until_ended(pid, pidfd, DYING_MS, &status);
	text_addf(why,
	    "reading it was not done after %u seconds%s: it is damaged, or the disk or server that "
	    "it is on does not answer",
	    seconds, is_gone ? "" : " and cannot be ended");
}

static bool wait_for(pid_t pid, unsigned seconds, const char *said, struct text *why)
{
	int status, pidfd = pidfd_open(pid, 0); // -1 before Linux 5.3
	bool done = false;
	pid_t ended = wait_until_ended(pid, pidfd, (int64_t)seconds * MS_PER_S, &status);
	if (ended == pid)
		done = judge(status, said, why);
	else if (ended == 0)
		give_up(pid, pidfd, seconds, why);
	else
		text_addf(why, "the process that read it was lost: %s", strerror(errno));
	if (pidfd >= 0)
		close(pidfd);
	return done;
}

bool apart_run(apart_fn *work, void *context, unsigned seconds, struct text *why)
{
	bool done = false;
	char *said =
	    mmap(NULL, SAID_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = said == MAP_FAILED ? -1 : fork();
	if (pid == 0)
		be_child(work, context, seconds, said);
	if (pid > 0)
		done = wait_for(pid, seconds, said, why);
	else
		text_addf(why, "cannot start a process to read it: %s", strerror(errno));
	if (said != MAP_FAILED)
		munmap(said, SAID_MAX);
	return done;
}
