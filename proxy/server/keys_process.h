// keys_process.h: the process that has a generation's private keys (keys.h), from the
// supervisor's side: starting it, handing it files, joining workers to it, and starting
// it again when it has died.
//
// Driven by generation.c.  The supervisor opens key files and never reads them; it keeps
// the descriptors, so that a process in the place of a dead one has the keys that the
// workers' certificates need, whatever lies under those names by then.
//
// Waiting for its answers is bounded (KEYS_WAIT_MS), and a process that has none by then
// is killed: it would not sign either.
//
// Of one that a former binary has started, there is only the process: no files, so it is
// not started again.
#ifndef POPGATE_PROXY_SERVER_KEYS_PROCESS_H
#define POPGATE_PROXY_SERVER_KEYS_PROCESS_H

#include <stdint.h>

#include "proxy/server/sandbox.h"
#include "proxy/session/snapshot.h"

struct generations;

// Of one certificate; fd -1: no listener serves it.
struct key_file {
	int fd;
	uint32_t slot;
	char *name; // of the certificate
	char *key_path, *chain_path;
	struct str leaf; // DER, on the heap
	bool is_missed;  // refused when the process was started again
};

struct keys_process {
	pid_t pid;   // 0: none runs
	int channel; // -1: none, or let go
	struct sandbox_identity identity;
	struct key_file *files; // one for each certificate
	size_t num_files;
	uint64_t started_ms;
	uint64_t restart_ms; // when to start the next, while pid is 0
	uint64_t backoff_ms;
	uint64_t kill_ms; // when to end one that has nobody left to sign for
};

// Opens the files and starts the process.  NULL, every reason being logged, when it
// cannot be started or does not take each key.
struct keys_process *keys_process_new(const struct generations *generations,
    const struct snapshot *snapshot, const struct sandbox_identity *identity);

// One that a former binary has started.
struct keys_process *keys_process_adopt(pid_t pid, int channel, uint64_t started_ms);

// It must have ended.
void keys_process_free(struct keys_process **keys);

// A worker's end of a new socket to it, closed by execv; -1 when it cannot be joined now.
int keys_process_join(const struct keys_process *keys);

// Whether it can be asked now; else the next one can be, soon.
bool keys_process_runs(const struct keys_process *keys);

// The slot of the certificate's next key.
uint32_t keys_process_next_slot(const struct keys_process *keys, size_t index);

struct renewal {
	const char *key_path, *chain_path;
	struct str leaf; // DER, to which the key must belong
	bool is_same;    // as is served: only judged, unless the process lacks its key
};

// Has it take the key in that file into the certificate's next slot, beside the one that
// it has; for the same certificate into the slot that workers know.  That file is then the one
// that a process in its place is given: the one of before may have been written over.  False,
// with the reason in *why and nothing changed, when it does not.
__attribute__((warn_unused_result)) bool keys_process_renew(
    struct keys_process *keys, size_t index, const struct renewal *renewal, struct text *why);

// No more keys and workers will come: it ends with the last worker that it has.
void keys_process_let_go(struct keys_process *keys);

// It has ended.
void keys_process_ended(struct keys_process *keys, uint64_t now_ms);

// Does what is due: starts the next, or ends one that nobody needs (no worker is left of
// a generation that it was let go by).
void keys_process_tick(struct keys_process *keys, const struct generations *generations,
    bool has_workers, uint64_t now_ms);
uint64_t keys_process_due(const struct keys_process *keys);

// In a child: they are the supervisor's.
void keys_process_close(const struct keys_process *keys);

#endif
