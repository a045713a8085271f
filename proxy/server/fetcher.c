// fetcher.c: fork, execute popgate once more, listen.  See fetcher.h.
#include "proxy/server/fetcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/exit_status.h"
#include "proxy/server/clock.h"

enum {
	GRACE_MS = 5 * 1000, // after FETCH_MS, when the child should long have given up
	CPU_S = 5,
	DESCRIPTORS = 64,
	CANNOT_EXECUTE = 127,
	REASON_MAX = 256,
};

// A sanitizer's own memory has addresses without end.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const rlim_t room_bytes = RLIM_INFINITY;
#else
static const rlim_t room_bytes = 1024 * 1024 * 1024;
#endif

void fetcher_init(struct fetcher *fetcher)
{
	*fetcher = (struct fetcher){.output = -1, .deadline_ms = CLOCK_NEVER};
}

static void limit(int what, rlim_t most)
{
	struct rlimit limit = {most, most};
	// Where less is allowed already, that stays.
	(void)setrlimit(what, &limit);
}

// Signals stay blocked and ignored as they are here: a terminal's are not for it.
// execve(2) finds the running program, even when an upgrade has replaced the file.
static _Noreturn void become_fetch(
    const char *url, int end, const struct sandbox_identity *identity)
{
	char name[] = FETCH_NAME;
	char *argv[] = {name, (char *)url, NULL};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	sandbox_enter(identity);
	limit(RLIMIT_CPU, CPU_S);
	limit(RLIMIT_NOFILE, DESCRIPTORS);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_AS, room_bytes);
	if (dup2(end, STDIN_FILENO) >= 0 && dup2(end, STDOUT_FILENO) >= 0 &&
	    dup2(null, STDERR_FILENO) >= 0 && close_range(STDERR_FILENO + 1, ~0U, 0) == 0)
		execv("/proc/self/exe", argv);
	dprintf(STDOUT_FILENO, "cannot execute /proc/self/exe: %s", strerror(errno));
	_exit(CANNOT_EXECUTE);
}

bool fetcher_start(struct fetcher *fetcher, const char *url, struct str question,
    const struct sandbox_identity *identity, struct text *why)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		text_addf(why, "cannot open a socket: %s", strerror(errno));
		return false;
	}
	pid_t pid = fork();
	if (pid == 0)
		become_fetch(url, ends[1], identity);
	close(ends[1]);
	if (pid < 0) {
		text_addf(why, "cannot start a process: %s", strerror(errno));
		close(ends[0]);
		return false;
	}
	// Whether it is taken shows in the answer.
	(void)!send(ends[0], question.at, question.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(ends[0], SHUT_WR);
	*fetcher = (struct fetcher){
	    .pid = pid,
	    .output = ends[0],
	    .deadline_ms = clock_ms() + FETCH_MS + GRACE_MS,
	};
	return true;
}

static void stop_reading(struct fetcher *fetcher)
{
	close(fetcher->output);
	fetcher->output = -1;
}

// A child that says more than it may is heard no longer.
static void read_more(struct fetcher *fetcher)
{
	char piece[4096];
	ssize_t n = 0;
	bool fits = true;
	while (fetcher->output >= 0 && fits &&
	       (n = recv(fetcher->output, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
		fits = buf_add(&fetcher->said, (struct str){piece, (size_t)n}, FETCH_ANSWER_MAX);
	if (fetcher->output >= 0 && (n == 0 || !fits))
		stop_reading(fetcher);
}

void fetcher_kill(struct fetcher *fetcher)
{
	if (fetcher->pid)
		kill(fetcher->pid, SIGKILL);
	fetcher->deadline_ms = CLOCK_NEVER;
}

void fetcher_tick(struct fetcher *fetcher, uint64_t now_ms)
{
	read_more(fetcher);
	if (now_ms < fetcher->deadline_ms)
		return;
	fetcher->is_late = true;
	fetcher_kill(fetcher);
}

bool fetcher_ended(struct fetcher *fetcher, int status, struct buf *out_answer, struct text *why)
{
	read_more(fetcher);
	if (fetcher->output >= 0)
		stop_reading(fetcher);
	*out_answer = fetcher->said;
	if (fetcher->is_late)
		text_addf(why, "it took longer than %d seconds", (FETCH_MS + GRACE_MS) / 1000);
	else if (WIFEXITED(status) && status)
		text_add(why, str_take(buf_str(out_answer), REASON_MAX));
	else if (status) {
		text_add(why, STR("the process that asked "));
		exit_status_add(why, status);
	}
	fetcher_init(fetcher);
	return status == 0;
}
