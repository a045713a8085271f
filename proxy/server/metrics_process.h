// metrics_process.h: the process that answers `GET /metrics` (metrics_server.h), from the
// supervisor's side: its socket, starting it, telling it the facts, and starting it again
// when it has died.
//
// Driven by the supervisor's loop.  The socket is the supervisor's and is kept over
// reloads and upgrades, so that who asks while there is no process waits in its queue.
// The process ends with its channel; an upgrade starts another one.
#ifndef POPGATE_PROXY_SERVER_METRICS_PROCESS_H
#define POPGATE_PROXY_SERVER_METRICS_PROCESS_H

#include "proxy/server/generation.h"
#include "proxy/server/staples.h"

struct metrics_process {
	pid_t pid;                       // 0: none runs
	pid_t leaving;                   // one that was let go and has not ended; 0: none
	int ear;                         // the channel until it has said its one word; -1
	int channel;                     // -1: none
	struct metrics_socket candidate; // of a configuration that is not in force yet
	struct str facts;                // that it has heard; on the heap
	uint64_t facts_ms;               // when to look at them again
	unsigned generation;             // whose they are
	uint64_t started_ms;
	uint64_t restart_ms; // when to start the next; CLOCK_NEVER: there is one, or is to be none
	uint64_t backoff_ms;
	uint64_t kill_ms; // when to kill the one that leaves
};

void metrics_process_init(struct metrics_process *process);

// Takes over, to see it end, who answered for a former binary; 0: nobody.
void metrics_process_take_over(struct metrics_process *process, pid_t former);

// Opens the address that the configuration wants, unless it is open.  False with the reason
// in *why when it is not to be had.
__attribute__((warn_unused_result)) bool metrics_process_prepare(struct metrics_process *process,
    const struct generations *generations, const struct config *config, struct text *why);

// The configuration that was prepared last will not be in force.
void metrics_process_withdraw(struct metrics_process *process);

// None is in force.  After an upgrade that leaves nobody who answers, since only its
// configuration was refused: somebody does again, without the facts of a generation.
void metrics_process_keep(struct metrics_process *process, const struct generations *generations);

// It is in force now.
void metrics_process_adopt(struct metrics_process *process, struct generations *generations,
    const struct generation *serving);

// Does what is due; and hears what the process says.
void metrics_process_tick(struct metrics_process *process, const struct generations *generations,
    const struct staples *staples, uint64_t now_ms);
uint64_t metrics_process_next_due(
    const struct metrics_process *process, const struct generations *generations);

// A child of the supervisor's has ended; false when it was not this one.
bool metrics_process_reaped(
    struct metrics_process *process, const struct generations *generations, pid_t pid, int status);

// Lets it go: it finishes its answers and ends, or is killed.
void metrics_process_stop(struct metrics_process *process);

// Whether there is one, or one that leaves.
static inline bool metrics_process_is_there(const struct metrics_process *process)
{
	return process->pid || process->leaving;
}

// It has ended.
void metrics_process_done(struct metrics_process *process);

#endif
