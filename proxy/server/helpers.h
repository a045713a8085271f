// helpers.h: the helpers that ask winbind (Samba's ntlm_auth): how they are started,
// and which there are.
//
// A worker may start no process and holds no right to ask winbind, so the supervisor
// starts helpers: as the workers' user, with one group more, one end of a socket pair
// as their input and output.  The other end goes to the worker (channel.def).  The
// supervisor keeps a copy of the helper's end, not to read it, but because poll(2) tells
// there when the worker has closed its own: a helper that was given up, or whose worker
// has ended, is killed then.  So none outlives its worker, even one that hangs.
//
// Driven by generation.c; nothing here waits.
//
// Not taken: helpers that several workers share.  A worker that hangs or dies would take
// the answers of others with it.
#ifndef POPGATE_PROXY_SERVER_HELPERS_H
#define POPGATE_PROXY_SERVER_HELPERS_H

#include <poll.h>

#include "proxy/config/config.h"
#include "proxy/server/sandbox.h"

// What is executed, and as whom.
struct helper_command {
	char *path;
	char **arguments; // ended by NULL; [0] is the path, [1] is filled in at each start
	struct sandbox_identity identity;
	gid_t group;
	bool has_group;
};

// Whether this configuration has any use for helpers.
bool helpers_are_wanted(const struct config *config);

// What to say where they run as a user that other programs have too, which could read
// the passwords that pass through a helper; NULL: nothing.
const char *helpers_share_user(const struct config *config);

// Copies what it needs.  NULL with the reason in *why when there is no such command or
// group.
struct helper_command *helper_command_new(const struct winbind_options *options,
    const struct sandbox_identity *identity, struct text *why);
void helper_command_free(struct helper_command **command);

// Starts it with `end` as input and output, and `errors` for what it complains of
// (-1: nowhere), to speak this protocol.  Both stay the caller's.  -1 with errno set.
pid_t helper_command_start(
    const struct helper_command *command, const char *protocol, int end, int errors);

// A worker's helpers to come; the zero state wants none.
struct helper_wish {
	unsigned num;
	uint64_t due_ms; // not before
	uint64_t backoff_ms;
	bool is_told; // the log knows that they wait
};

struct helper_process {
	struct helper_process *next;
	pid_t pid;
	int end; // -1: given up, and killed
	pid_t worker;
	uint64_t started_ms;
};

// The zero state has none.
struct helpers {
	struct helper_process *first;
};

// Notes that a worker wants one more.
void helpers_want(struct helper_wish *wish);

// When the wish is due; CLOCK_NEVER: there is none.
uint64_t helpers_wish_due(const struct helper_wish *wish);

// Starts what a worker wants, if it is due; of `most` at a time.
void helpers_grant(struct helpers *helpers, const struct helper_command *command,
    struct helper_wish *wish, pid_t worker, int channel, size_t most, uint64_t now_ms);

// Kills those that were given up.  Calls `on_end` for each.
void helpers_watch(struct helpers *helpers,
    void (*on_end)(void *context, const struct helper_process *helper), void *context);

// A child of the supervisor's has ended; false when it is none of these.  Calls
// `on_end` unless that was done before.
bool helpers_reaped(struct helpers *helpers, pid_t pid, int status,
    void (*on_end)(void *context, const struct helper_process *helper), void *context);

// Puts off the worker's next helpers when this one did not live long.
void helpers_put_off(
    struct helper_wish *wish, const struct helper_process *helper, uint64_t now_ms);

// One that a former binary has started.
void helpers_adopt(struct helpers *helpers, const struct helper_process *helper);

// The number of them, and the copies of their ends to watch: `fds` has room for all.
size_t helpers_num(const struct helpers *helpers);
void helpers_poll(const struct helpers *helpers, struct pollfd *fds);

// In a child: they are the supervisor's.
void helpers_close(const struct helpers *helpers);

#endif
