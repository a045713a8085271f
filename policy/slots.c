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

struct slot slots_find(const struct slots *slots, uint64_t key, uint64_t now)
{
	// Bit 0 of a key is always set.
	uint64_t first = (key >> 1) * SLOTS_WAYS & (slots->num_words - 1);
	struct slot own = {0}, cheapest = {0};
	uint64_t dearest = 0, least = UINT64_MAX;
	for (size_t i = 0; i < SLOTS_WAYS; i++) {
		_Atomic uint64_t *word = &slots->words[first + i];
		uint64_t seen = atomic_load(word), value = seen & slots_value_mask;
		uint64_t worth = seen ? slots->worth(value, now) : 0;
		if (tag_of(seen) == tag_of(key) && worth > dearest) {
			own = (struct slot){word, seen, value};
			dearest = worth;
		}
		if (worth < least) {
			cheapest = (struct slot){word, seen, 0};
			least = worth;
		}
	}
	return dearest ? own : cheapest;
}

bool slots_put(const struct slot *slot, uint64_t key, uint64_t value)
{
	uint64_t seen = slot->seen;
	uint64_t word = tag_of(key) << SLOTS_VALUE_BITS | (value & slots_value_mask);
	return atomic_compare_exchange_strong(slot->word, &seen, word);
}
