// generation.h: the generations of workers: starting them, watching them,
// replacing the dead, draining the old.
//
// Driven by the supervisor's loop: it reports what poll(2) and waitpid(2) said
// and calls generations_tick; nothing here waits.  A generation owns its
// snapshot and its plan of sockets, and gives both up as soon as it drains,
// since a draining worker is not replaced.
//
//     starting -> serving -> draining -> ending -> killed -> gone
//        +-----> failed ------^
//
// After an upgrade the serving generation has no snapshot: its workers were
// started by the former binary.  They serve on but cannot be replaced, nor their
// helpers; when one dies, `needs_reload` asks for a generation of our own.
#ifndef POPGATE_PROXY_SERVER_GENERATION_H
#define POPGATE_PROXY_SERVER_GENERATION_H

#include <poll.h>

#include "proxy/base/metrics.h"
#include "proxy/server/helpers.h"
#include "proxy/server/keys_process.h"
#include "proxy/server/sandbox.h"
#include "proxy/server/sockets.h"
#include "proxy/session/snapshot.h"

enum generation_state {
#define GENERATION_STATE(token) GENERATION_##token,
#include "proxy/server/generation.def"
	GENERATION_STATES
#undef GENERATION_STATE
};

// What runs in a slot.  A worker that has ended leaves pid 0.
struct worker_process {
	pid_t pid;
	unsigned id; // of the place in the limits' pages
	int channel; // -1: none, or ended
	bool is_ready;
	bool lacks_table;       // one did not go through its channel
	bool lacks_certificate; // that of `lacking`, and maybe others behind it
	bool lacks_client_trust;
	bool lacks_users;   // it could not open users.db
	bool lacks_signer;  // it has no socket to the process with the private keys
	uint64_t signer_ms; // not before it gets another one
	size_t lacking;     // index into the snapshot's certificates
	struct helper_wish helper_wish;
	uint64_t started_ms;
	uint64_t restart_ms; // when to start the next, while pid is 0
	uint64_t backoff_ms;
};

struct generation {
	struct generation *next; // older
	unsigned number;
	enum generation_state state;
	struct snapshot *snapshot;
	struct socket_plan *plan;
	struct sandbox_identity identity;
	struct helper_command *helper_command; // kept while it drains; NULL: no helpers
	size_t num_helpers;                    // of each worker
	struct keys_process *keys;             // NULL: workers have the private keys themselves
	struct worker_process *workers;        // one for each slot
	size_t num_workers;
	uint64_t deadline_ms; // of draining and ending
};

// Where `GET /metrics` is answered.
struct metrics_socket {
	bool is_open;
	int fd;
	struct addr wanted;               // as configured; port 0: any
	struct sandbox_identity identity; // of who answers
	pid_t former;                     // who answered there before an upgrade; 0: nobody
};

struct generations {
	struct generation *newest;
	unsigned last_number;
	bool needs_reload;
	struct sockets sockets;
	struct limits *limits;
	struct ledger *ledger;
	struct host_answers *host_answers;
	struct tickets *tickets;
	struct metrics *metrics;
	struct metrics_socket metrics_socket;
	struct helpers helpers;
	int private_fds[6]; // of the supervisor's, closed in workers; -1: none
};

// In a child that serves no generation's clients: what is the supervisor's or a
// worker's alone, secrets first; and it is to leave signals to them.
void generations_forget(const struct generations *generations);

// A new generation in state starting, its workers forked.  Takes over snapshot,
// plan and helper_command (NULL: it needs no helpers).  A worker that cannot be
// started makes it failed.
struct generation *generation_start(struct generations *generations, struct snapshot *snapshot,
    struct socket_plan *plan, struct helper_command *helper_command,
    const struct sandbox_identity *identity, size_t num_workers);

// Another place for a worker; the array may move.
struct worker_process *generation_add_worker(struct generation *generation);

// An empty one, in front of the list.
struct generation *generation_new(struct generations *generations);

// The one in this state, the newest if several; NULL when there is none.
struct generation *generation_in(
    const struct generations *generations, enum generation_state state);

bool generation_is_ready(const struct generation *generation);

// Tells its workers to drain until the deadline; those of a generation that
// drains already keep the earlier deadline.
void generation_drain(
    struct generations *generations, struct generation *generation, uint64_t deadline_ms);

// Tells its workers to end their sessions; kills what is left at the deadline.
void generation_end(
    struct generations *generations, struct generation *generation, uint64_t deadline_ms);

// Reads what workers have said.
void generations_read(struct generations *generations);

// A child of the supervisor's has ended; false when it is none of ours.
bool generations_reaped(struct generations *generations, pid_t pid, int status);

// Does what is due; frees generations that have ended.
void generations_tick(struct generations *generations, uint64_t now_ms);

// When something will be due; CLOCK_NEVER when nothing.
uint64_t generations_next_due(const struct generations *generations);

// Appends the channels to watch to the array at *fds, which grows as needed.
void generations_poll(
    const struct generations *generations, struct pollfd **fds, size_t *num_fds, size_t *cap_fds);

#endif
