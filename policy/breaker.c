// breaker.c: counting failures.  See breaker.h.
//
// The outcomes of a round stand in a ring.  A failure that does not count is not
// put there, so that it pushes nobody else's success out.
#include "policy/breaker.h"

#include <string.h>

static void enter(struct breaker *breaker, enum breaker_state state)
{
	breaker->state = state;
	breaker->num = 0;
	if (!++breaker->round)
		breaker->round = 1;
}

void breaker_init(struct breaker *breaker)
{
	memset(breaker, 0, sizeof(*breaker));
	enter(breaker, BREAKER_CLOSED);
}

unsigned breaker_admit(struct breaker *breaker, uint64_t now)
{
	switch (breaker->state) {
	case BREAKER_CLOSED: return breaker->round;
	case BREAKER_OPEN:
		if (now < breaker->open_until)
			return 0;
		enter(breaker, BREAKER_HALF_OPEN);
		return breaker->round;
	case BREAKER_HALF_OPEN: break;
	}
	return 0;
}

// The one told `back` before the newest.
static const struct breaker_outcome *outcome(const struct breaker *breaker, unsigned back)
{
	return &breaker->outcomes[(breaker->num - 1 - back) % BREAKER_MEMORY];
}

static unsigned num_outcomes(const struct breaker *breaker)
{
	return breaker->num < BREAKER_MEMORY ? breaker->num : BREAKER_MEMORY;
}

// Whether this source has had its failures, and others are answered.
static bool is_known_to_fail(const struct breaker *breaker, uint64_t source)
{
	unsigned own = 0, good = 0;
	for (unsigned i = 0; i < num_outcomes(breaker); i++) {
		bool is_own = outcome(breaker, i)->source == source;
		own += is_own && outcome(breaker, i)->failed;
		good += !is_own && !outcome(breaker, i)->failed;
	}
	return own >= BREAKER_PER_SOURCE && good;
}

static void remember(struct breaker *breaker, struct breaker_outcome new)
{
	breaker->outcomes[breaker->num++ % BREAKER_MEMORY] = new;
	// Once the ring is full only the place in it matters; so it cannot wrap to 0.
	if (breaker->num == 2 * BREAKER_MEMORY)
		breaker->num = BREAKER_MEMORY;
}

static bool are_failures_in_a_row(const struct breaker *breaker)
{
	unsigned row = 0;
	while (row < num_outcomes(breaker) && outcome(breaker, row)->failed)
		row++;
	return row >= BREAKER_ROW;
}

static bool are_failures_frequent(const struct breaker *breaker, uint64_t now)
{
	unsigned late = 0, failed = 0;
	for (; late < num_outcomes(breaker); late++) {
		if (now - outcome(breaker, late)->at > BREAKER_WINDOW_MS)
			break;
		failed += outcome(breaker, late)->failed;
	}
	return late >= BREAKER_RATE_LEAST && 2 * failed >= late;
}

static void open_for(struct breaker *breaker, uint64_t pause_ms, uint64_t now)
{
	breaker->pause_ms = pause_ms < BREAKER_PAUSE_MAX_MS ? pause_ms : BREAKER_PAUSE_MAX_MS;
	breaker->open_until = now + breaker->pause_ms;
	enter(breaker, BREAKER_OPEN);
}

static enum breaker_change tell_closed(struct breaker *breaker, struct breaker_outcome new)
{
	if (new.failed && is_known_to_fail(breaker, new.source))
		return BREAKER_NO_CHANGE;
	remember(breaker, new);
	if (!new.failed ||
	    (!are_failures_in_a_row(breaker) && !are_failures_frequent(breaker, new.at)))
		return BREAKER_NO_CHANGE;
	open_for(breaker, BREAKER_PAUSE_MS, new.at);
	return BREAKER_OPENED;
}

static enum breaker_change tell_half_open(struct breaker *breaker, struct breaker_outcome new)
{
	if (new.failed) {
		open_for(breaker, 2 * breaker->pause_ms, new.at);
		return BREAKER_NO_CHANGE;
	}
	enter(breaker, BREAKER_CLOSED);
	remember(breaker, new);
	return BREAKER_CLOSED_AGAIN;
}

enum breaker_change breaker_tell(
    struct breaker *breaker, unsigned pass, uint64_t source, bool failed, uint64_t now)
{
	struct breaker_outcome new = {.at = now, .source = source, .failed = failed};
	if (pass != breaker->round)
		return BREAKER_NO_CHANGE;
	switch (breaker->state) {
	case BREAKER_CLOSED: return tell_closed(breaker, new);
	case BREAKER_HALF_OPEN: return tell_half_open(breaker, new);
	case BREAKER_OPEN: break;
	}
	return BREAKER_NO_CHANGE;
}

void breaker_give_back(struct breaker *breaker, unsigned pass)
{
	if (breaker->state == BREAKER_HALF_OPEN && pass == breaker->round)
		enter(breaker, BREAKER_OPEN); // whose time is over
}
