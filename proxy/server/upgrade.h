// upgrade.h: what one image of popgate leaves to the next when the supervisor
// executes its binary again: sockets, workers, shared pages.
//
// Called by the supervisor.  The state is lines of text in a memfd, whose
// number goes with the environment; the descriptors it names stay open across
// execv.  Its first line has a version.  A state of our own version is read
// strictly; of another one, lines and fields that we do not know are passed
// over, so that a newer or older popgate keeps all sessions that it can.
//
// Not done: handing descriptors over a socket to a second process.  The same
// pid keeps its children, and whoever watches that pid notices nothing.
#ifndef POPGATE_PROXY_SERVER_UPGRADE_H
#define POPGATE_PROXY_SERVER_UPGRADE_H

#include "proxy/server/generation.h"

struct upgrade_state {
	struct generations *generations;
	uint64_t drain_timeout_ms;
	const struct log_options *log; // NULL: stderr
	pid_t metrics_pid;             // who answers `GET /metrics`; 0: nobody
};

// Writes the state to a new memfd; -1 with errno set when that fails.
int upgrade_write(const struct upgrade_state *state);

// Replaces this image by the file `binary`, everything that the state names
// being kept open.  Returns only when that fails, with the reason in *why and
// everything as before.
void upgrade_exec(
    const char *binary, char **argv, const struct upgrade_state *state, struct text *why);

// The memfd that a former image left us, taken out of the environment; -1 when
// there is none.
int upgrade_inherited(void);

// Reads the state and takes over all that it names: generations (zero before),
// the log's target, the time to drain.  Closes fd.  False with the reason in
// *why when it cannot be read; then nothing may be made of it.
__attribute__((warn_unused_result)) bool upgrade_read(
    int fd, struct generations *out_generations, uint64_t *out_drain_timeout_ms, struct text *why);

#endif
