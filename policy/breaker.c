// breaker.c: counting failures.  See breaker.h.
//
// The outcomes of a round stand in a ring.  A failure that does not count is not
// put there, so that it pushes nobody else's answer out.  For the same reason the
// time of the last answer stands beside it.
#include "policy/breaker.h"

#include <string.h>

// What is in a part of the ring.
struct tally {
	unsigned failures;
	unsigned answers;
	uint64_t failed[BREAKER_MEMORY]; // networks, each once
	unsigned num_failed;
};

static void begin_round(struct breaker *breaker, bool is_open)
{
	breaker->is_open = is_open;
	breaker->num = 0;
	breaker->num_probes = 0;
	if (!++breaker->round)
		breaker->round = 1;
}

void breaker_init(struct breaker *breaker)
{
	memset(breaker, 0, sizeof(*breaker));
	begin_round(breaker, false);
}

static bool is_among(const uint64_t *networks, unsigned num, uint64_t network)
{
	for (unsigned i = 0; i < num; i++)
		if (networks[i] == network)
			return true;
	return false;
}

// ---- closed -------------------------------------------------------------

// The one told `back` before the newest.
static const struct breaker_outcome *outcome(const struct breaker *breaker, unsigned back)
{
	return &breaker->outcomes[(breaker->num - 1 - back) % BREAKER_MEMORY];
}

static unsigned num_outcomes(const struct breaker *breaker)
{
	return breaker->num < BREAKER_MEMORY ? breaker->num : BREAKER_MEMORY;
}

static void remember(struct breaker *breaker, struct breaker_outcome new)
{
	breaker->outcomes[breaker->num++ % BREAKER_MEMORY] = new;
	// Once the ring is full only the place in it matters; so it cannot wrap to 0.
	if (breaker->num == 2 * BREAKER_MEMORY)
		breaker->num = BREAKER_MEMORY;
}

// Whether this network has had its failures.
static bool is_known_to_fail(const struct breaker *breaker, const struct breaker_outcome *new)
{
	bool is_answered = new->at < breaker->answered_until;
	unsigned own = 0;
	for (unsigned i = 0; i < num_outcomes(breaker); i++) {
		const struct breaker_outcome *old = outcome(breaker, i);
		own += old->failed &&
		       old->network == new->network &&new->at - old->at <= BREAKER_WINDOW_MS;
	}
	return own >= (is_answered ? BREAKER_PER_NETWORK : BREAKER_ROW);
}

static void add_failure(struct tally *tally, uint64_t network)
{
	tally->failures++;
	if (!is_among(tally->failed, tally->num_failed, network))
		tally->failed[tally->num_failed++] = network;
}

// From the newest back to the first that is too old.
static struct tally count_since(const struct breaker *breaker, uint64_t now, uint64_t age_ms)
{
	struct tally tally = {0};
	for (unsigned i = 0; i < num_outcomes(breaker); i++) {
		const struct breaker_outcome *old = outcome(breaker, i);
		if (now - old->at > age_ms)
			break;
		if (old->failed)
			add_failure(&tally, old->network);
		else
			tally.answers++;
	}
	return tally;
}

// From the newest back to the last answer.
static struct tally count_row(const struct breaker *breaker, uint64_t now)
{
	struct tally tally = {0};
	for (unsigned i = 0; i < num_outcomes(breaker); i++) {
		const struct breaker_outcome *old = outcome(breaker, i);
		if (!old->failed || now - old->at > BREAKER_ROW_MS)
			break;
		add_failure(&tally, old->network);
	}
	return tally;
}

static void open_by(struct breaker *breaker, const struct tally *tally, uint64_t now)
{
	begin_round(breaker, true);
	breaker->pause_ms = BREAKER_PAUSE_MS;
	breaker->open_until = now + BREAKER_PAUSE_MS;
	memcpy(breaker->failed, tally->failed, sizeof(breaker->failed));
	breaker->num_failed = tally->num_failed;
}

static bool is_too_much(const struct breaker *breaker, uint64_t now, struct tally *out)
{
	*out = count_row(breaker, now);
	if (out->failures >= BREAKER_ROW)
		return true;
	*out = count_since(breaker, now, BREAKER_WINDOW_MS);
	return out->num_failed >= BREAKER_ROW && out->num_failed >= out->answers;
}

static enum breaker_change tell_closed(struct breaker *breaker, struct breaker_outcome new)
{
	struct tally tally;
	if (new.failed && is_known_to_fail(breaker, &new))
		return BREAKER_NO_CHANGE;
	remember(breaker, new);
	if (!new.failed) {
		breaker->answered_until = new.at + BREAKER_WINDOW_MS;
		return BREAKER_NO_CHANGE;
	}
	if (!is_too_much(breaker, new.at, &tally))
		return BREAKER_NO_CHANGE;
	open_by(breaker, &tally, new.at);
	return BREAKER_OPENED;
}

// ---- open ---------------------------------------------------------------

static bool has_failed(const struct breaker *breaker, uint64_t network)
{
	unsigned num = breaker->num_failed < BREAKER_MEMORY ? breaker->num_failed : BREAKER_MEMORY;
	return is_among(breaker->failed, num, network);
}

static bool is_over_for(const struct breaker *breaker, uint64_t network, uint64_t now)
{
	return now >= breaker->open_until ||
	       (breaker->num_failed < BREAKER_NETWORKS && !has_failed(breaker, network));
}

// One at a time, and beside one whose failure says little one more.
static bool is_probe_free(const struct breaker *breaker, uint64_t network)
{
	switch (breaker->num_probes) {
	case 0: return true;
	case 1: return breaker->probes[0] != network && has_failed(breaker, breaker->probes[0]);
	default: return false;
	}
}

unsigned breaker_admit(struct breaker *breaker, uint64_t network, uint64_t now)
{
	if (!breaker->is_open)
		return breaker->round;
	if (!is_over_for(breaker, network, now) || !is_probe_free(breaker, network))
		return 0;
	breaker->probes[breaker->num_probes++] = network;
	return breaker->round;
}

static void end_probe(struct breaker *breaker, uint64_t network)
{
	bool is_first = breaker->probes[0] == network;
	breaker->num_probes--;
	if (is_first)
		breaker->probes[0] = breaker->probes[1];
}

static void pause_again(struct breaker *breaker, uint64_t pause_ms, uint64_t now)
{
	if (breaker->open_until < now + pause_ms)
		breaker->open_until = now + pause_ms;
}

static void double_pause(struct breaker *breaker, uint64_t now)
{
	breaker->pause_ms *= 2;
	if (breaker->pause_ms > BREAKER_PAUSE_MAX_MS)
		breaker->pause_ms = BREAKER_PAUSE_MAX_MS;
	pause_again(breaker, breaker->pause_ms, now);
}

static void fail_again(struct breaker *breaker, const struct breaker_outcome *new)
{
	bool is_known = has_failed(breaker, new->network);
	if (!is_known)
		breaker->failed[breaker->num_failed++ % BREAKER_MEMORY] = new->network;
	if (!is_known || breaker->num_failed == 1)
		double_pause(breaker, new->at);
	else
		pause_again(breaker, BREAKER_PAUSE_MS, new->at);
}

static enum breaker_change tell_open(struct breaker *breaker, struct breaker_outcome new)
{
	end_probe(breaker, new.network);
	if (new.failed) {
		fail_again(breaker, &new);
		return BREAKER_NO_CHANGE;
	}
	begin_round(breaker, false);
	tell_closed(breaker, new);
	return BREAKER_CLOSED_AGAIN;
}

// ---- both ---------------------------------------------------------------

enum breaker_change breaker_tell(
    struct breaker *breaker, unsigned pass, uint64_t network, bool failed, uint64_t now)
{
	struct breaker_outcome new = {.at = now, .network = network, .failed = failed};
	if (pass != breaker->round)
		return BREAKER_NO_CHANGE;
	return breaker->is_open ? tell_open(breaker, new) : tell_closed(breaker, new);
}

void breaker_give_back(struct breaker *breaker, unsigned pass, uint64_t network)
{
	if (breaker->is_open && pass == breaker->round)
		end_probe(breaker, network);
}
