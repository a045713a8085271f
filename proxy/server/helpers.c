// helpers.c: helpers from fork to waitpid.  See helpers.h.
#include "proxy/server/helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/base/exit_status.h"
#include "proxy/base/log.h"
#include "proxy/server/channel.h"
#include "proxy/server/clock.h"

enum {
	SETTLED_MS = 10 * 1000, // a helper that lived so long was no failed start
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10 * 1000,
	CANNOT_EXECUTE = 127,
};

// ---- the command --------------------------------------------------------

bool helpers_are_wanted(const struct config *config)
{
	for (size_t i = 0; i < config->num_listeners; i++) {
		const struct text_list *verify = &config->listeners[i].options.verify;
		for (size_t k = 0; k < verify->num; k++)
			if (str_eq(str_of(verify->at[k]), STR("winbind")))
				return true;
	}
	return false;
}

// Unlike a worker, a helper cannot say that nobody may trace it: execv takes that back.
const char *helpers_share_user(const struct config *config)
{
	if (!helpers_are_wanted(config) || !str_eq(str_of(config->site.user), STR("nobody")))
		return NULL;
	return "other processes of the user nobody could trace helpers and read passwords; make a "
	       "system user for popgate alone and set user to it";
}

static bool look_up_group(
    const struct winbind_options *options, struct helper_command *command, struct text *why)
{
	command->has_group = command->identity.change && options->group[0];
	errno = 0;
	const struct group *found = getgrnam(options->group);
	if (found)
		command->group = found->gr_gid;
	else if (command->has_group)
		text_addf(why,
		    "winbind: there is no system group \"%s\"%s%s; install Samba's winbind, or set "
		    "group to the one "
		    "that its directory winbindd_privileged has",
		    options->group, errno ? ": " : "", errno ? strerror(errno) : "");
	return found || !command->has_group;
}

static char **copy_arguments(const struct winbind_options *options)
{
	char **arguments = xcalloc(options->arguments.num + 3, sizeof(*arguments));
	arguments[0] = str_dup(str_of(options->command));
	for (size_t i = 0; i < options->arguments.num; i++)
		arguments[i + 2] = str_dup(str_of(options->arguments.at[i]));
	return arguments;
}

struct helper_command *helper_command_new(const struct winbind_options *options,
    const struct sandbox_identity *identity, struct text *why)
{
	struct helper_command *command = xcalloc(1, sizeof(*command));
	command->identity = *identity;
	command->arguments = copy_arguments(options);
	command->path = command->arguments[0];
	bool exists = access(command->path, X_OK) == 0;
	if (!exists)
		text_addf(why,
		    "winbind: cannot execute %s: %s; install Samba's winbind, or set command",
		    command->path, strerror(errno));
	if (!exists || !look_up_group(options, command, why))
		helper_command_free(&command);
	return command;
}

void helper_command_free(struct helper_command **command)
{
	if (!*command)
		return;
	for (size_t i = 2; (*command)->arguments[i]; i++)
		free((*command)->arguments[i]);
	free((*command)->path);
	free((*command)->arguments);
	free(*command);
	*command = NULL;
}

// As workers do, helpers leave a terminal's or a service manager's signals to the
// supervisor: logins that are under way still need them.
static void reset_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2};
	sigset_t none;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

// Helpers are asked by password too, which no core file may keep.
static bool become(const struct helper_command *command)
{
	static const struct rlimit none = {0, 0};
	const struct sandbox_identity *identity = &command->identity;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return false;
	return !identity->change ||
	       (setgroups(command->has_group, &command->group) == 0 &&
	           setresgid(identity->gid, identity->gid, identity->gid) == 0 &&
	           setresuid(identity->uid, identity->uid, identity->uid) == 0);
}

// Nothing here may allocate: the process is a copy of a larger one.
static _Noreturn void execute(const struct helper_command *command, int end, int errors)
{
	prctl(PR_SET_NAME, "popgate-helper", 0, 0, 0);
	reset_signals();
	if (errors < 0)
		errors = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (dup2(end, STDIN_FILENO) < 0 || dup2(end, STDOUT_FILENO) < 0 ||
	    dup2(errors, STDERR_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(CANNOT_EXECUTE);
	if (become(command) && chdir("/") == 0)
		execv(command->path, command->arguments);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", command->path, strerror(errno));
	_exit(CANNOT_EXECUTE);
}

pid_t helper_command_start(
    const struct helper_command *command, const char *protocol, int end, int errors)
{
	char room[64];
	struct text option = TEXT(room);
	text_addf(&option, "--helper-protocol=%s", protocol);
	command->arguments[1] = room;
	pid_t pid = fork();
	if (pid == 0)
		execute(command, end, errors);
	command->arguments[1] = NULL;
	return pid;
}

// ---- wishes -------------------------------------------------------------

void helpers_want(struct helper_wish *wish)
{
	wish->num++;
}

uint64_t helpers_wish_due(const struct helper_wish *wish)
{
	return wish->num ? wish->due_ms : CLOCK_NEVER;
}

void helpers_put_off(struct helper_wish *wish, const struct helper_process *helper, uint64_t now_ms)
{
	if (now_ms - helper->started_ms >= SETTLED_MS)
		wish->backoff_ms = 0;
	wish->due_ms = now_ms + wish->backoff_ms;
	wish->backoff_ms =
	    wish->backoff_ms ? clock_earlier(2 * wish->backoff_ms, BACKOFF_MAX_MS) : BACKOFF_MIN_MS;
}

// False with errno set when the worker has no helper now.
static bool start(
    struct helpers *helpers, const struct helper_command *command, pid_t worker, int channel)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	pid_t pid = helper_command_start(command, "ntlm-server-1", ends[1], -1);
	bool sent = pid > 0 && channel_send_fd(channel, CHANNEL_helper, ends[0]);
	int why = errno;
	// When it was not sent, this makes it one that was given up.
	close(ends[0]);
	if (pid > 0)
		helpers_adopt(helpers,
		    &(struct helper_process){
		        .pid = pid, .end = ends[1], .worker = worker, .started_ms = clock_ms()});
	else
		close(ends[1]);
	errno = why;
	return sent;
}

static void tell_delay(struct helper_wish *wish, pid_t worker, uint64_t now_ms)
{
	struct log_line line;
	if (wish->is_told)
		return;
	wish->is_told = true;
	log_begin(&line, LOG_helper_delayed);
	log_u64(&line, "worker", (uint64_t)worker);
	log_u64(&line, "ms", wish->due_ms - now_ms);
	log_end(&line);
}

static size_t count_of(const struct helpers *helpers, pid_t worker)
{
	size_t num = 0;
	for (const struct helper_process *h = helpers->first; h; h = h->next)
		num += h->worker == worker && h->end >= 0;
	return num;
}

void helpers_grant(struct helpers *helpers, const struct helper_command *command,
    struct helper_wish *wish, pid_t worker, int channel, size_t most, uint64_t now_ms)
{
	if (now_ms < helpers_wish_due(wish)) {
		if (wish->num)
			tell_delay(wish, worker, now_ms);
		return;
	}
	wish->is_told = false;
	for (size_t num = count_of(helpers, worker); wish->num && num < most; num++) {
		if (!start(helpers, command, worker, channel)) {
			log_why(LOG_helper_not_started, "%s", strerror(errno));
			wish->due_ms = now_ms + BACKOFF_MAX_MS;
			return;
		}
		wish->num--;
	}
	wish->num = 0; // more than it may have
}

// ---- ends ---------------------------------------------------------------

static bool is_given_up(const struct helper_process *helper)
{
	struct pollfd end = {helper->end, 0, 0};
	return poll(&end, 1, 0) == 1 && end.revents & (POLLHUP | POLLERR);
}

void helpers_watch(struct helpers *helpers,
    void (*on_end)(void *context, const struct helper_process *helper), void *context)
{
	for (struct helper_process *h = helpers->first; h; h = h->next) {
		if (h->end < 0 || !is_given_up(h))
			continue;
		kill(h->pid, SIGKILL);
		close(h->end);
		h->end = -1;
		on_end(context, h);
	}
}

static void log_ended(const struct helper_process *helper, int status)
{
	char room[128];
	struct text why = TEXT(room);
	struct log_line line;
	exit_status_add(&why, status);
	log_begin(&line, LOG_helper_ended);
	log_u64(&line, "pid", (uint64_t)helper->pid);
	log_u64(&line, "worker", (uint64_t)helper->worker);
	log_str(&line, "why", text_str(&why));
	log_end(&line);
}

// One whose worker let it go may have ended by itself before it was killed.
static void bury(struct helper_process *helper, int status,
    void (*on_end)(void *context, const struct helper_process *helper), void *context)
{
	if (helper->end < 0)
		return;
	if (!is_given_up(helper))
		log_ended(helper, status);
	close(helper->end);
	on_end(context, helper);
}

bool helpers_reaped(struct helpers *helpers, pid_t pid, int status,
    void (*on_end)(void *context, const struct helper_process *helper), void *context)
{
	for (struct helper_process **link = &helpers->first; *link; link = &(*link)->next) {
		struct helper_process *helper = *link;
		if (helper->pid != pid)
			continue;
		*link = helper->next;
		bury(helper, status, on_end, context);
		free(helper);
		return true;
	}
	return false;
}

// ---- the list -----------------------------------------------------------

void helpers_adopt(struct helpers *helpers, const struct helper_process *helper)
{
	struct helper_process *place = xmalloc(sizeof(*place));
	*place = *helper;
	place->next = helpers->first;
	helpers->first = place;
}

size_t helpers_num(const struct helpers *helpers)
{
	size_t num = 0;
	for (const struct helper_process *h = helpers->first; h; h = h->next)
		num++;
	return num;
}

// Without an event to wait for, poll(2) tells the hang-up only.
void helpers_poll(const struct helpers *helpers, struct pollfd *fds)
{
	for (const struct helper_process *h = helpers->first; h; h = h->next)
		*fds++ = (struct pollfd){h->end, 0, 0};
}

void helpers_close(const struct helpers *helpers)
{
	for (const struct helper_process *h = helpers->first; h; h = h->next)
		if (h->end >= 0)
			close(h->end);
}
