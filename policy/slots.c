// slots.c: finding and replacing words.  See slots.h.
//
// Two who look for a place for one key at the same moment choose the same word,
// and one of them loses; only when the set changes between their looks can a
// key get two words.  The dearer one is then its word, and the other one is
// never again looked at and expires.
#include "policy/slots.h"

static uint64_t tag_of(uint64_t word)
{
	return word >> SLOTS_VALUE_BITS;
}

// What was seen of a key on the way through its sets.
struct search {
	struct slot own, cheapest;
	uint64_t dearest, least; // what these are worth
	bool is_over;
};

static void look_at(
    struct search *search, const struct slots *slots, size_t at, uint64_t key, uint64_t now)
{
	_Atomic uint64_t *word = &slots->words[at];
	uint64_t seen = atomic_load(word), value = seen & slots_value_mask;
	uint64_t worth = seen ? slots->worth(value, now) : 0;
	if (tag_of(seen) == tag_of(key) && worth > search->dearest) {
		search->own = (struct slot){word, seen, value};
		search->dearest = worth;
	}
	if (worth < search->least) {
		search->cheapest = (struct slot){word, seen, 0};
		search->least = worth;
	}
	search->is_over |= !seen;
}

struct slot slots_find(const struct slots *slots, uint64_t key, uint64_t now)
{
	struct search search = {.least = UINT64_MAX};
	size_t level = 0;
	for (uint32_t num = SLOTS_NUM_FIRST(slots->num_last);
	     num <= slots->num_last && !search.is_over; num *= SLOTS_GROWTH) {
		// Bit 0 of a key is always set.
		size_t set = (key >> 1) * SLOTS_WAYS & (num - 1);
		for (size_t i = 0; i < SLOTS_WAYS; i++)
			look_at(&search, slots, level + set + i, key, now);
		level += num;
	}
	return search.dearest ? search.own : search.cheapest;
}

bool slots_put(const struct slot *slot, uint64_t key, uint64_t value)
{
	uint64_t seen = slot->seen;
	uint64_t word = tag_of(key) << SLOTS_VALUE_BITS | (value & slots_value_mask);
	return atomic_compare_exchange_strong(slot->word, &seen, word);
}
