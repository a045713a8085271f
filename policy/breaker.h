// breaker.h: a circuit breaker: notices that the name servers do not answer any
// more, and has nobody wait for them until they do.
//
// Owned by rdns.c, which asks it before each lookup and tells it how the lookup
// went.  Pure: the time is passed in, in ms of any clock that does not go back.
//
//     closed --- too many failures ---> open (1 s, then 2, 4, ... 30 s)
//       ^                                 |  ^
//       |                                 v  | it failed
//       +------- it was answered ----- half open: one lookup is let through
//
// A failure is silence, or a server that cannot be reached.  SERVFAIL and
// REFUSED are answers: a server says them at once or is itself out of time before
// we are, so nobody is spared a wait by not asking, and whoever owns an address
// can have its zone say them.  So a storm of them never opens it, from however
// many networks, and one of them closes it.
//
// Whoever owns a client's address can have its zone be silent, too.  So each
// outcome has a network, the client's.  Too many failures are
//   * 8 since the last answer, each of the last minute.  Where there was an
//     answer in the last 10 s, only 2 of each network count: it takes four.
//   * or those of 8 networks in the last 10 s, with no more answers in that time
//     (of the last 32 outcomes): the servers are slow, or answer now and then.
//
// Where nobody is answered, one network alone can open it, and must, as it may be
// the only one that ever comes.  But while less than four networks have failed it
// is open for those alone: one that has not failed yet is let through, one at a
// time, and its answer closes the breaker.
//
// Nor can a network keep it open that failed before: beside such a network's
// lookup one of another is let through, and its failure makes the pause a second,
// not twice as long, unless no other network has failed.
//
// Who has four networks, and comes while nobody else does, can still open it for
// a second at a time: that cannot be told from servers that are gone.
//
// Not taken: asking the servers for a name of our own now and then.  There is
// none that both exists everywhere and is not answered from their own memory.
#ifndef POPGATE_POLICY_BREAKER_H
#define POPGATE_POLICY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BREAKER_MEMORY = 32,
	BREAKER_ROW = 8,
	BREAKER_ROW_MS = 60 * 1000, // one after the other they take 4 s each by default
	BREAKER_WINDOW_MS = 10 * 1000,
	BREAKER_PER_NETWORK = 2,
	BREAKER_NETWORKS = BREAKER_ROW / BREAKER_PER_NETWORK,
	BREAKER_PROBES = 2,
	BREAKER_PAUSE_MS = 1000,
	BREAKER_PAUSE_MAX_MS = 30 * 1000,
};

// What an outcome has changed.
enum breaker_change { BREAKER_NO_CHANGE, BREAKER_OPENED, BREAKER_CLOSED_AGAIN };

struct breaker_outcome {
	uint64_t at;
	uint64_t network;
	bool failed;
};

struct breaker {
	bool is_open;
	unsigned round; // a new one when it opens and when it closes; never 0
	// While it is closed.
	struct breaker_outcome outcomes[BREAKER_MEMORY]; // a ring
	unsigned num;                                    // ever remembered in this round
	uint64_t answered_until; // somebody was, less than BREAKER_WINDOW_MS before
	// While it is open.
	uint64_t open_until;             // then half open
	uint64_t pause_ms;               // doubled last time
	uint64_t failed[BREAKER_MEMORY]; // networks, the latest of them
	unsigned num_failed;             // ever in this round
	uint64_t probes[BREAKER_PROBES]; // networks of lookups that were let through
	unsigned num_probes;
};

void breaker_init(struct breaker *breaker);

// 0: ask nobody.  Otherwise a pass, to be given back with the outcome: those of
// an earlier round no longer say anything.
unsigned breaker_admit(struct breaker *breaker, uint64_t network, uint64_t now);

enum breaker_change breaker_tell(
    struct breaker *breaker, unsigned pass, uint64_t network, bool failed, uint64_t now);

// The lookup was never made; if it was one that was let through, another may.
void breaker_give_back(struct breaker *breaker, unsigned pass, uint64_t network);

#endif
