// trial.c: the new binary's `check`, as a child.  See trial.h.
#include "proxy/server/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/base/exit_status.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"

enum { TRIAL_MS = 60 * 1000 };

void trial_init(struct trial *trial)
{
	*trial = (struct trial){.output = -1, .deadline_ms = CLOCK_NEVER};
}

static _Noreturn void become_check(const char *binary, const char *config_path, int output)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execl(binary, binary, "check", "-c", config_path, (char *)NULL);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", binary, strerror(errno));
	_exit(127);
}

bool trial_start(struct trial *trial, const char *binary, const char *config_path, struct text *why)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		text_addf(why, "cannot open a pipe: %s", strerror(errno));
		return false;
	}
	trial->pid = fork();
	if (trial->pid == 0)
		become_check(binary, config_path, ends[1]);
	close(ends[1]);
	if (trial->pid < 0) {
		text_addf(why, "cannot start a process: %s", strerror(errno));
		close(ends[0]);
		trial_init(trial);
		return false;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	trial->output = ends[0];
	trial->deadline_ms = clock_ms() + TRIAL_MS;
	return true;
}

static void log_line_of(struct trial *trial)
{
	if (trial->len)
		log_why(LOG_upgrade_check, "%.*s", (int)trial->len, trial->line);
	trial->len = 0;
}

void trial_read(struct trial *trial)
{
	char bytes[512];
	ssize_t n;
	if (trial->output < 0)
		return;
	while ((n = read(trial->output, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (bytes[i] == '\n' || trial->len == sizeof(trial->line))
				log_line_of(trial);
			if (bytes[i] != '\n')
				trial->line[trial->len++] = bytes[i];
		}
	if (n == 0) {
		close(trial->output);
		trial->output = -1;
	}
}

bool trial_passed(struct trial *trial, int status, struct text *why)
{
	trial_read(trial);
	log_line_of(trial);
	if (trial->output >= 0)
		close(trial->output);
	trial_init(trial);
	if (status == 0)
		return true;
	text_add(why, STR("its check of the configuration "));
	exit_status_add(why, status);
	return false;
}

void trial_kill(struct trial *trial)
{
	if (trial->pid)
		kill(trial->pid, SIGKILL);
	trial->deadline_ms = CLOCK_NEVER;
}

void trial_tick(struct trial *trial, uint64_t now_ms)
{
	if (now_ms >= trial->deadline_ms)
		trial_kill(trial);
}
