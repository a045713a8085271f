// apart.c: fork, work, wait.  See apart.h.
#include "policy/apart.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// A status that no library and no sanitizer ends a process with.
enum { REFUSED = 77, SAID_MAX = 1024 };

static void limit(unsigned seconds)
{
	struct rlimit time = {seconds, seconds}, core = {0, 0};
	setrlimit(RLIMIT_CPU, &time);
	setrlimit(RLIMIT_CORE, &core);
}

static _Noreturn void be_child(apart_fn *work, void *context, unsigned seconds, char *said)
{
	struct text why = text_in(said, SAID_MAX);
	limit(seconds);
	_exit(work(context, &why) ? EXIT_SUCCESS : REFUSED);
}

static bool judge(int status, const char *said, struct text *why)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
		text_addf(why, "%.*s", SAID_MAX - 1, said);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		text_addf(why, "it is damaged: reading it took too much time or memory");
	else if (WIFSIGNALED(status))
		text_addf(why, "it is damaged: reading it ended in a crash (%s)",
		    strsignal(WTERMSIG(status)));
	else
		text_addf(
		    why, "it is damaged: reading it ended with status %d", WEXITSTATUS(status));
	return false;
}

static bool wait_for(pid_t pid, const char *said, struct text *why)
{
	int status;
	pid_t ended;
	do
		ended = waitpid(pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	if (ended == pid)
		return judge(status, said, why);
	text_addf(why, "the process that read it was lost: %s", strerror(errno));
	return false;
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
		done = wait_for(pid, said, why);
	else
		text_addf(why, "cannot start a process to read it: %s", strerror(errno));
	if (said != MAP_FAILED)
		munmap(said, SAID_MAX);
	return done;
}
