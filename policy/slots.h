// slots.h: a table of fixed size in shared pages: from a key to a number of 40
// bits.
//
// Used by ledger.c.  A key chooses sets of eight words (a cache line) and a tag
// of 24 bits; a word is the tag and the number.  When its sets are full, the word
// that is worth least makes room; what a number is worth, and when nothing any
// more, the table's owner says.  So no flood of keys grows the table, and one of
// cheap entries drives out cheap entries.
//
// The sets of a key are one in each level of the table, and a level is eight times
// as large as the one before.  A key goes to a level only when its sets in those
// before it are full, and is looked for no further than in a set with a word that
// was never used, which alone is 0.  So a few thousand keys live in the few pages of
// the first level: memory comes into being where it is first looked at, and in a
// single large level each key would cost a page.
//
// Words are changed by compare-and-swap of what was seen: who loses looks again.
// No lock is held that a crash could leave, and no change needs to be undone.
// A key has its tag in common with one in its sets once in 700,000 at worst; then
// they share what is known of them.
//
// Not done: a chain of entries for each key, exact for any number of keys.  It
// needs memory to be found and freed while others read, and an attacker chooses
// how many keys there are.
#ifndef POPGATE_POLICY_SLOTS_H
#define POPGATE_POLICY_SLOTS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLOTS_WAYS = 8, SLOTS_GROWTH = 8, SLOTS_VALUE_BITS = 40 };

// Of the first level and of all three, where the last one has num_last.
#define SLOTS_NUM_FIRST(num_last) ((num_last) / SLOTS_GROWTH / SLOTS_GROWTH)
#define SLOTS_NUM_WORDS(num_last)                                                                  \
	(SLOTS_NUM_FIRST(num_last) + (num_last) / SLOTS_GROWTH + (num_last))

static const uint64_t slots_value_mask = ((uint64_t)1 << SLOTS_VALUE_BITS) - 1;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock in the pages could be left held by a crash");

struct slots {
	_Atomic uint64_t *words; // zero at first; whole cache lines
	uint32_t num_last;       // words of the last level: a power of two, 512 at least
	// What a value is worth at this time; 0: nothing, the word is free.
	uint64_t (*worth)(uint64_t value, uint64_t now);
};

// A word as it was seen.
struct slot {
	_Atomic uint64_t *word;
	uint64_t seen;
	uint64_t value; // of the key; 0: it has none, or none that is worth anything
};

// The key's word; when it has none, the one that it may have.
struct slot slots_find(const struct slots *slots, uint64_t key, uint64_t now);

// Gives the key this value (its lowest 40 bits) there.  False when the word has
// changed since.
__attribute__((warn_unused_result)) bool slots_put(
    const struct slot *slot, uint64_t key, uint64_t value);

#endif
