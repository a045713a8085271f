// exit_status.c: from waitpid's number to words.  See exit_status.h.
#include "proxy/base/exit_status.h"

#include <string.h>
#include <sys/wait.h>

void exit_status_add(struct text *out, int status)
{
	if (WIFSIGNALED(status))
		text_addf(out, "was killed by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		text_addf(out, "ended with status %d", WEXITSTATUS(status));
}
