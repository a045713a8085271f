// breaker.h: a circuit breaker: notices that the name servers do not answer any
// more, and has nobody wait for them until they do.
//
// Owned by rdns.c, which asks it before each lookup and tells it how the lookup
// went.  Pure: the time is passed in, in ms of any clock that does not go back.
//
//     closed --- too many failures ---> open (1 s, then 2, 4, ... 30 s)
//       ^                                 |  ^
//       |                                 v  | it failed
//       +------- it succeeded ------- half open: one lookup is let through
//
// Too many are 8 failures in a row, however long that takes, or half of those
// told in the last 10 seconds (at most 32 are remembered, at least 16 needed).
//
// Whoever owns a client's address also owns the zone that it is looked up in,
// and may let it fail as often as he likes.  So each outcome has a source, the
// client's network, and while others are answered, only 4 failures of one
// network count: none can open the breaker alone.
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
	BREAKER_RATE_LEAST = 16,
	BREAKER_PER_SOURCE = 4,
	BREAKER_WINDOW_MS = 10 * 1000,
	BREAKER_PAUSE_MS = 1000,
	BREAKER_PAUSE_MAX_MS = 30 * 1000,
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

// What an outcome has changed.
enum breaker_change { BREAKER_NO_CHANGE, BREAKER_OPENED, BREAKER_CLOSED_AGAIN };

struct breaker_outcome {
	uint64_t at;
	uint64_t source;
	bool failed;
};

struct breaker {
	enum breaker_state state;
	unsigned round; // a new one with each change of state; never 0
	uint64_t open_until;
	uint64_t pause_ms; // how long it was open last
	struct breaker_outcome outcomes[BREAKER_MEMORY];
	unsigned num; // ever told in this round
};

void breaker_init(struct breaker *breaker);

// 0: ask nobody.  Otherwise a pass, to be given back with the outcome: those of
// an earlier round no longer say anything.
unsigned breaker_admit(struct breaker *breaker, uint64_t now);

enum breaker_change breaker_tell(
    struct breaker *breaker, unsigned pass, uint64_t source, bool failed, uint64_t now);

// The lookup was never made; if it was the one to be let through, another may.
void breaker_give_back(struct breaker *breaker, unsigned pass);

#endif
