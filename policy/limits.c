// limits.c: the shared pages, the counts in them, and how a count survives
// the death of whoever was just changing it.  See limits.h.
//
// A key chooses a tag and, in each of three levels, a set of 32 words (four cache
// lines).  A word holds a tag and how many places were taken under it; a word that
// counts 0 is free for any tag.  Two workers may claim two words for one tag at the
// same moment, so all that are the key's are always looked at and the count is the
// sum.
//
// All: up to the first word that was never used, which alone is 0.  Words are
// claimed in order, and a level is eight times as large as the one before.  So a
// few thousand keys live in the few pages of the first level; in a single large one
// each key would cost a page.
//
// A worker may be killed between any two instructions, and then the question
// is whether its last compare-and-swap happened.  Therefore it announces each
// one beforehand (`op`: which word, which journal entry, a sequence number),
// and the word itself names its last writer and that number.  Whoever replaces
// a word first marks its last writer's announcement as done.  So the change
// happened exactly if the word still says so or the announcement is marked,
// and the journal plus this one bit are the truth about the dead.
//
// A sequence number comes back after 2047 changes.  It would mislead only if
// another worker had slept in the middle of `confirm` for that long, and the
// writer were killed in the same instant.
//
// The supervisor trusts nothing here: a worker may have been taken over.  All
// indices are bounded by their width, and no loop of its waits for a worker.
//
// Not done: a table for each worker, summed by the reader.  Forgetting a worker
// would be trivial, but a session would cost a cache miss for every worker that
// lives, and after many reloads hundreds do.
#include "policy/limits.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "policy/mapping.h"
#include "proxy/base/die.h"

enum {
	LEVELS = 3,
	SET_WORDS = 32,
	// With sets as large as these none of the last level fills up before there are
	// some 140,000 keys; beyond that a few places are refused although they are free.
	SETS_0 = 1 << 7,
	SETS_1 = SETS_0 * 8,
	SETS_2 = SETS_1 * 8,
	WORDS = (SETS_0 + SETS_1 + SETS_2) * SET_WORDS,
	ENTRIES = 1 << 19, // places that one worker can hold
	NO_WORKER = LIMITS_WORKERS,
};

enum { COUNT_MAX = (1 << 20) - 1, SEQ_MAX = (1 << 11) - 1 };

// The last digit is the layout's version.
static const uint64_t magic = 0x706f706c696d6902;

// The pages are sparse: what was never used takes no memory.
struct pages {
	struct mapping_head head;
	struct {
		alignas(64) _Atomic uint64_t op; // as op_pack makes it; 0: none under way
		_Atomic uint32_t num_entries;    // of the journal ever used
	} workers[LIMITS_WORKERS];
	alignas(4096) _Atomic uint64_t words[WORDS];
	alignas(4096) _Atomic uint64_t journals[LIMITS_WORKERS][ENTRIES]; // key, or next free << 1
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
    "a lock in the pages could be left held by a crash");

struct limits {
	struct mapping mapping;
	struct pages *pages; // there
	unsigned worker;
	unsigned seq;         // of the last change announced
	uint32_t free_entry;  // head of the free entries, counted from 1
	uint32_t num_entries; // ever used
};

struct word {
	uint32_t tag;    // 24 bits
	uint32_t count;  // 20 bits
	unsigned writer; // 9 bits
	unsigned seq;    // 11 bits; 0: nobody needs to know
};

enum op_kind { OP_TAKE, OP_GIVE };

struct op {
	enum op_kind kind;
	uint32_t entry; // 20 bits
	uint32_t word;  // 21 bits
	unsigned seq;   // 11 bits; 0: none
};

static const uint64_t op_done = (uint64_t)1 << 63;

// Of the pages that this process uses; the key functions need it.
static struct key_secret secret;

static uint64_t word_pack(struct word word)
{
	return (uint64_t)word.tag << 40 | (uint64_t)word.count << 20 | word.writer << 11 | word.seq;
}

static struct word word_unpack(uint64_t bits)
{
	return (struct word){
	    .tag = (uint32_t)(bits >> 40),
	    .count = bits >> 20 & COUNT_MAX,
	    .writer = bits >> 11 & (LIMITS_WORKERS - 1),
	    .seq = bits & SEQ_MAX,
	};
}

static uint64_t op_pack(struct op op)
{
	return (uint64_t)op.kind << 52 | (uint64_t)op.entry << 32 | (uint64_t)op.word << 11 |
	       op.seq;
}

static struct op op_unpack(uint64_t bits)
{
	return (struct op){
	    .kind = bits >> 52 & 1 ? OP_GIVE : OP_TAKE,
	    .entry = bits >> 32 & ((1 << 20) - 1),
	    .word = (bits >> 11 & ((1 << 21) - 1)) % WORDS,
	    .seq = bits & SEQ_MAX,
	};
}

// Never 0, so that a word which was once used is not.
static uint32_t tag_of(uint64_t key)
{
	uint32_t tag = (uint32_t)(key >> 40);
	return tag ? tag : 1;
}

// The words of a key are numbered in the order in which it is looked for.
enum { KEY_WORDS = LEVELS * SET_WORDS };

static uint32_t word_of(uint64_t key, unsigned number)
{
	static const struct {
		uint32_t before, num;
	} sets[LEVELS] = {{0, SETS_0}, {SETS_0, SETS_1}, {SETS_0 + SETS_1, SETS_2}};
	unsigned level = number / SET_WORDS;
	uint32_t set = sets[level].before + (uint32_t)(key >> 1 & (sets[level].num - 1));
	return set * SET_WORDS + number % SET_WORDS;
}

static struct limits *limits_of(const struct mapping *mapping)
{
	struct limits *limits = xcalloc(1, sizeof(*limits));
	*limits =
	    (struct limits){.mapping = *mapping, .pages = (void *)mapping->at, .worker = NO_WORKER};
	secret = mapping->at->secret;
	return limits;
}

struct limits *limits_new(void)
{
	struct mapping mapping;
	if (!mapping_new(&mapping, "popgate-limits", magic, sizeof(struct pages)))
		return NULL;
	return limits_of(&mapping);
}

struct limits *limits_open(int fd)
{
	struct mapping mapping;
	return mapping_open(&mapping, fd, magic, sizeof(struct pages)) ? limits_of(&mapping) : NULL;
}

int limits_fd(const struct limits *limits)
{
	return limits->mapping.fd;
}

void limits_free(struct limits **limits)
{
	if (!*limits)
		return;
	mapping_done(&(*limits)->mapping);
	free(*limits);
	*limits = NULL;
}

void limits_be_worker(struct limits *limits, unsigned worker)
{
	BUG_ON(worker >= LIMITS_WORKERS);
	limits->worker = worker;
}

// Keys are odd: the journal tells them from its links by that.
uint64_t limits_key_listener(struct str listener)
{
	return key_of(&secret, 'l', listener, STR(""));
}

uint64_t limits_key_ip(struct str listener, const struct addr *ip)
{
	return key_of(&secret, 'i', listener, key_ip(ip));
}

uint64_t limits_key_handshake(struct str listener, const struct addr *ip)
{
	return key_of(&secret, 'h', listener, key_ip(ip));
}

uint64_t limits_key_user(struct str backend, struct str user)
{
	char room[KEY_USER_MAX];
	return key_of(&secret, 'u', backend, key_user(user, room));
}

// A walk over a key's words; zero at first.
struct look {
	unsigned number; // of the next one
	uint32_t at;
	uint64_t seen;
	struct word word;
	bool is_over;
};

// The next word; false behind the first one that was never used.
static bool look_on(struct pages *pages, uint64_t key, struct look *look)
{
	if (look->is_over || look->number == KEY_WORDS)
		return false;
	look->at = word_of(key, look->number++);
	look->seen = atomic_load(&pages->words[look->at]);
	look->word = word_unpack(look->seen);
	look->is_over = !look->seen;
	return true;
}

static bool counts(const struct word *word, uint64_t key)
{
	return word->count && word->tag == tag_of(key);
}

uint64_t limits_count(const struct limits *limits, uint64_t key)
{
	struct look look = {0};
	uint64_t sum = 0;
	while (look_on(limits->pages, key, &look))
		sum += counts(&look.word, key) ? look.word.count : 0;
	return sum;
}

// A word where one more place can be counted: the key's own, else a free one.
static bool find_room(
    struct pages *pages, uint64_t key, uint64_t max, uint32_t *out_at, uint64_t *out_seen)
{
	enum { NONE, FREE, OWN } best = NONE;
	struct look look = {0};
	uint64_t sum = 0;
	while (look_on(pages, key, &look)) {
		bool is_own = counts(&look.word, key);
		sum += is_own ? look.word.count : 0;
		if (is_own && look.word.count == COUNT_MAX)
			continue;
		if (is_own ? best < OWN : !look.word.count && best < FREE) {
			best = is_own ? OWN : FREE;
			*out_at = look.at;
			*out_seen = look.seen;
		}
	}
	return best != NONE && sum < max;
}

// The last word that counts a place under the key, so that a second word,
// claimed at the same moment as the first, empties before it.
static bool find_taken(struct pages *pages, uint64_t key, uint32_t *out_at, uint64_t *out_seen)
{
	struct look look = {0};
	bool found = false;
	while (look_on(pages, key, &look)) {
		if (!counts(&look.word, key))
			continue;
		*out_at = look.at;
		*out_seen = look.seen;
		found = true;
	}
	return found;
}

// Before a word is replaced: tells its last writer that its change happened.
// When this comes too late, the writer has gone on and knows.
static void confirm(struct pages *pages, uint32_t at, struct word was)
{
	_Atomic uint64_t *op = &pages->workers[was.writer].op;
	uint64_t seen = atomic_load(op);
	struct op announced = op_unpack(seen);
	if (was.seq && announced.seq == was.seq && announced.word == at && !(seen & op_done))
		atomic_compare_exchange_strong(op, &seen, seen | op_done);
}

static bool replace(struct pages *pages, uint32_t at, uint64_t seen, struct word new)
{
	confirm(pages, at, word_unpack(seen));
	return atomic_compare_exchange_strong(&pages->words[at], &seen, word_pack(new));
}

// A number that the word does not already carry from an earlier change.
static unsigned next_seq(struct limits *limits, struct word was)
{
	do
		limits->seq = limits->seq % SEQ_MAX + 1;
	while (was.writer == limits->worker && was.seq == limits->seq);
	return limits->seq;
}

// The journal is written after the announcement: an entry that belongs to an
// announced change is judged by whether the change happened.
static bool announce_and_replace(
    struct limits *limits, struct op op, uint64_t key, uint64_t seen, struct word new)
{
	struct pages *pages = limits->pages;
	new.writer = limits->worker;
	new.seq = op.seq = next_seq(limits, word_unpack(seen));
	atomic_store(&pages->workers[limits->worker].op, op_pack(op));
	atomic_store(&pages->journals[limits->worker][op.entry - 1], key);
	return replace(pages, op.word, seen, new);
}

static void finish_op(struct limits *limits)
{
	atomic_store(&limits->pages->workers[limits->worker].op, 0);
}

// 0 when the journal is full.
static uint32_t new_entry(struct limits *limits)
{
	struct pages *pages = limits->pages;
	uint32_t entry = limits->free_entry;
	if (entry) {
		limits->free_entry =
		    (uint32_t)(atomic_load(&pages->journals[limits->worker][entry - 1]) >> 1);
		return entry;
	}
	if (limits->num_entries == ENTRIES)
		return 0;
	atomic_store(&pages->workers[limits->worker].num_entries, ++limits->num_entries);
	return limits->num_entries;
}

static void free_entry(struct limits *limits, uint32_t entry)
{
	uint64_t link = (uint64_t)limits->free_entry << 1;
	atomic_store(&limits->pages->journals[limits->worker][entry - 1], link);
	limits->free_entry = entry;
}

static bool take_word(struct limits *limits, uint64_t key, uint64_t max, uint32_t entry)
{
	struct op op = {.kind = OP_TAKE, .entry = entry};
	uint64_t seen = 0;
	while (find_room(limits->pages, key, max, &op.word, &seen)) {
		struct word new = {.tag = tag_of(key), .count = word_unpack(seen).count + 1};
		if (announce_and_replace(limits, op, key, seen, new))
			return true;
	}
	return false;
}

bool limits_take(struct limits *limits, uint64_t key, uint64_t max, struct limits_place *out_place)
{
	BUG_ON(limits->worker == NO_WORKER || !(key & 1));
	*out_place = (struct limits_place){new_entry(limits)};
	if (!out_place->entry)
		return false;
	if (!take_word(limits, key, max, out_place->entry)) {
		free_entry(limits, out_place->entry);
		finish_op(limits);
		out_place->entry = 0;
		return false;
	}
	finish_op(limits);
	// Two that claimed two words did not see each other before; now one does.
	if (limits_count(limits, key) <= max)
		return true;
	limits_give_back(limits, out_place);
	return false;
}

void limits_give_back(struct limits *limits, struct limits_place *place)
{
	struct op op = {.kind = OP_GIVE, .entry = place->entry};
	uint64_t seen;
	if (!place->entry)
		return;
	uint64_t key = atomic_load(&limits->pages->journals[limits->worker][place->entry - 1]);
	place->entry = 0;
	// Our place is in one of the words, though a single look may miss it while
	// others move theirs; so this ends, and no sooner than it may.
	for (bool done = false; !done;) {
		if (!find_taken(limits->pages, key, &op.word, &seen))
			continue;
		struct word new = word_unpack(seen);
		new.count--;
		done = announce_and_replace(limits, op, key, seen, new);
	}
	free_entry(limits, op.entry);
	finish_op(limits);
}

// The journal entry that does not say the truth, because the worker died in
// the middle of changing it; 0 when there is none.
static uint32_t untrue_entry(struct pages *pages, unsigned worker)
{
	struct op op = op_unpack(atomic_load(&pages->workers[worker].op));
	if (!op.seq)
		return 0;
	// In this order: who replaces the word marks the announcement before.
	struct word word = word_unpack(atomic_load(&pages->words[op.word]));
	bool happened = (word.writer == worker && word.seq == op.seq) ||
	                atomic_load(&pages->workers[worker].op) & op_done;
	return (op.kind == OP_GIVE) == happened ? op.entry : 0;
}

static void give_back_for(struct pages *pages, uint64_t key)
{
	// A worker's own loop has no bound; here a taken-over worker could make it
	// one without end.
	for (int tries = 10000; tries; tries--) {
		uint32_t at;
		uint64_t seen;
		if (!find_taken(pages, key, &at, &seen))
			continue;
		struct word new = word_unpack(seen);
		new.count--;
		new.seq = 0;
		if (replace(pages, at, seen, new))
			return;
	}
}

void limits_forget_worker(struct limits *limits, unsigned worker)
{
	struct pages *pages = limits->pages;
	BUG_ON(worker >= LIMITS_WORKERS);
	uint32_t skip = untrue_entry(pages, worker);
	uint32_t num = atomic_load(&pages->workers[worker].num_entries);
	atomic_store(&pages->workers[worker].op, 0);
	for (uint32_t i = 0; i < num && i < ENTRIES; i++) {
		uint64_t key = atomic_load(&pages->journals[worker][i]);
		if ((key & 1) && i + 1 != skip)
			give_back_for(pages, key);
	}
	atomic_store(&pages->workers[worker].num_entries, 0);
	// Back to zeroes, and the memory to the system.
	if (num &&
	    madvise(pages->journals[worker], sizeof(pages->journals[worker]), MADV_REMOVE) < 0)
		memset(pages->journals[worker], 0, sizeof(pages->journals[worker]));
}
