// ledger.c: the shared pages, their tables, and what a number in each means.
// See ledger.h.
//
// All but two tables hold a time in ms.  Connection rates have microseconds, so
// that any rate can be counted; there the clock goes round in 12 days, and a
// number is a time only when it is shortly ahead.  The users of an address are
// two sets of 16 bits, of this month and of the last: a user is one bit, so
// nobody is counted twice and nobody needs to be counted off.  Who is known
// there, for 30 days, is in one of the two.
//
// Every change is a loop of looking and trying to put; who is beaten so often
// as TRIES gives up, and one entry is missing.  It happens only when another
// worker was taken over and does nothing else than change our words.
#include "policy/ledger.h"

#include <stdlib.h>

#include "policy/mapping.h"
#include "policy/slots.h"
#include "proxy/base/die.h"

enum {
	SECOND = 1000,
	DAY = 24 * 60 * 60 * SECOND,
	MINUTE_US = 60 * 1000 * 1000,
	BURST_US = 15 * 1000 * 1000,
	TRIES = 10000,
};

// How long a user is known, and what `users` counts by.
static const uint64_t month_ms = 30 * (uint64_t)DAY;

// The last digit is the layout's version.
static const uint64_t magic = 0x706f706c65646702;

// TABLE(name, log2 of the last level's words, worth): 100,000 addresses and users at a time keep
// what is known of them, and there is room to spare where an attacker decides
// how many there are.
#define TABLES(TABLE)                                                                              \
	TABLE(rates, 18, worth_of_rate)                                                            \
	TABLE(ip_failures, 18, worth_of_time)                                                      \
	TABLE(user_failures, 18, worth_of_time)                                                    \
	TABLE(turns, 16, worth_of_time)                                                            \
	TABLE(bans, 16, worth_of_time)                                                             \
	TABLE(passwords, 18, worth_of_time)                                                        \
	TABLE(pairs, 18, worth_of_time)                                                            \
	TABLE(users, 17, worth_of_users)

#define WORDS(name, log2, worth) alignas(64) _Atomic uint64_t name[SLOTS_NUM_WORDS(1 << (log2))];
struct shared {
	struct mapping_head head;
	TABLES(WORDS)
};
#undef WORDS

#define SLOTS(name, log2, worth) struct slots name;
struct ledger {
	struct mapping mapping;
	struct key_secret secret;
	TABLES(SLOTS)
};
#undef SLOTS

// 40 bits are enough for 34 years of uptime.
static uint64_t worth_of_time(uint64_t due, uint64_t now)
{
	return due > now ? due - now : 0;
}

static uint64_t us_ahead(uint64_t due, uint64_t now)
{
	return (due - now) & slots_value_mask;
}

// Further ahead than any rate goes is long ago.
static uint64_t worth_of_rate(uint64_t due, uint64_t now)
{
	uint64_t ahead = us_ahead(due, now);
	return ahead <= BURST_US + MINUTE_US ? ahead : 0;
}

struct users {
	uint8_t month; // number of, modulo 256
	uint16_t bits;
	uint16_t bits_before;
};

static uint64_t users_pack(struct users users)
{
	return (uint64_t)users.month << 32 | (uint64_t)users.bits << 16 | users.bits_before;
}

// As they are seen at this time.
static struct users users_unpack(uint64_t value, uint64_t now)
{
	struct users users = {(uint8_t)(now / month_ms), 0, 0};
	uint8_t age = (uint8_t)(users.month - (value >> 32));
	if (age == 0)
		users.bits = (uint16_t)(value >> 16);
	if (age <= 1)
		users.bits_before = (uint16_t)(age ? value >> 16 : value);
	return users;
}

static uint64_t worth_of_users(uint64_t value, uint64_t now)
{
	struct users users = users_unpack(value, now);
	return (uint64_t)__builtin_popcount(users.bits | users.bits_before);
}

// ---- the pages ----------------------------------------------------------

static struct ledger *ledger_of(const struct mapping *mapping)
{
	struct ledger *ledger = xcalloc(1, sizeof(*ledger));
	struct shared *shared = (void *)mapping->at;
	ledger->mapping = *mapping;
	ledger->secret = shared->head.secret;
#define OPEN(name, log2, worth) ledger->name = (struct slots){shared->name, 1 << (log2), worth};
	TABLES(OPEN)
#undef OPEN
	return ledger;
}

struct ledger *ledger_new(void)
{
	struct mapping mapping;
	if (!mapping_new(&mapping, "popgate-ledger", magic, sizeof(struct shared)))
		return NULL;
	return ledger_of(&mapping);
}

struct ledger *ledger_open(int fd)
{
	struct mapping mapping;
	return mapping_open(&mapping, fd, magic, sizeof(struct shared)) ? ledger_of(&mapping)
	                                                                : NULL;
}

int ledger_fd(const struct ledger *ledger)
{
	return ledger->mapping.fd;
}

void ledger_free(struct ledger **ledger)
{
	if (!*ledger)
		return;
	mapping_done(&(*ledger)->mapping);
	free(*ledger);
	*ledger = NULL;
}

// ---- keys ---------------------------------------------------------------

uint64_t ledger_key_ip(const struct ledger *ledger, const struct addr *ip)
{
	return key_of(&ledger->secret, 'i', STR(""), key_ip(ip));
}

uint64_t ledger_key_user(const struct ledger *ledger, struct str backend, struct str user)
{
	char room[KEY_USER_MAX];
	return key_of(&ledger->secret, 'u', backend, key_user(user, room));
}

uint64_t ledger_key_pair(
    const struct ledger *ledger, const struct addr *ip, struct str backend, struct str user)
{
	uint64_t key = ledger_key_user(ledger, backend, user);
	return key_further(&ledger->secret, 'p', key, key_site(ip));
}

// ---- connections --------------------------------------------------------

bool ledger_take_connection(struct ledger *ledger, struct str listener, const struct addr *ip,
    uint64_t per_minute, uint64_t now_ms)
{
	uint64_t interval = MINUTE_US / per_minute, now = now_ms * 1000;
	if (!interval)
		return true;
	uint64_t key = key_of(&ledger->secret, 'c', listener, key_ip(ip));
	for (int tries = TRIES; tries; tries--) {
		struct slot slot = slots_find(&ledger->rates, key, now);
		uint64_t ahead = slot.value ? us_ahead(slot.value, now) : 0;
		if (ahead && ahead + interval > BURST_US)
			return false;
		if (slots_put(&slot, key, now + ahead + interval))
			return true;
	}
	return true;
}

// ---- failed logins ------------------------------------------------------

static const struct slots *failures_of(const struct ledger *ledger, enum ledger_failures of)
{
	return of == LEDGER_FAILURES_OF_IP ? &ledger->ip_failures : &ledger->user_failures;
}

static uint64_t count_of(uint64_t ms)
{
	return (ms + LEDGER_FORGIVE_MS - 1) / LEDGER_FORGIVE_MS;
}

uint64_t ledger_failures(
    const struct ledger *ledger, enum ledger_failures of, uint64_t key, uint64_t now_ms)
{
	uint64_t due = slots_find(failures_of(ledger, of), key, now_ms).value;
	return count_of(due ? due - now_ms : 0);
}

uint64_t ledger_add_failure(
    struct ledger *ledger, enum ledger_failures of, uint64_t key, uint64_t most, uint64_t now_ms)
{
	uint64_t ahead = 0;
	for (int tries = TRIES; tries; tries--) {
		struct slot slot = slots_find(failures_of(ledger, of), key, now_ms);
		ahead = (slot.value ? slot.value - now_ms : 0) + LEDGER_FORGIVE_MS;
		if (ahead > most * LEDGER_FORGIVE_MS)
			ahead = most * LEDGER_FORGIVE_MS;
		if (slots_put(&slot, key, now_ms + ahead))
			break;
	}
	return count_of(ahead);
}

bool ledger_take_turn(struct ledger *ledger, uint64_t key, uint64_t spacing_ms, uint64_t latest_ms,
    uint64_t now_ms, uint64_t *out_turn_ms)
{
	for (int tries = TRIES; tries; tries--) {
		struct slot slot = slots_find(&ledger->turns, key, now_ms);
		*out_turn_ms = slot.value ? slot.value : now_ms;
		if (*out_turn_ms > latest_ms)
			return false;
		if (slots_put(&slot, key, *out_turn_ms + spacing_ms))
			break;
	}
	return true;
}

// Gives the key this time, unless it has a later one.  False when it had one.
static bool extend(const struct slots *slots, uint64_t key, uint64_t until_ms, uint64_t now_ms)
{
	bool is_new = true;
	for (int tries = TRIES; tries; tries--) {
		struct slot slot = slots_find(slots, key, now_ms);
		is_new = !slot.value;
		if (slot.value >= until_ms || slots_put(&slot, key, until_ms))
			break;
	}
	return is_new;
}

void ledger_hold_turns(struct ledger *ledger, uint64_t key, uint64_t until_ms, uint64_t now_ms)
{
	extend(&ledger->turns, key, until_ms, now_ms);
}

bool ledger_is_banned(const struct ledger *ledger, uint64_t key, uint64_t now_ms)
{
	return slots_find(&ledger->bans, key, now_ms).value;
}

bool ledger_ban(struct ledger *ledger, uint64_t key, uint64_t until_ms, uint64_t now_ms)
{
	return !ledger_is_banned(ledger, key, now_ms) &&
	       extend(&ledger->bans, key, until_ms, now_ms);
}

bool ledger_note_password(
    struct ledger *ledger, uint64_t pair, struct str password, uint64_t now_ms)
{
	uint64_t key = key_further(&ledger->secret, 'w', pair, password);
	struct slot slot = slots_find(&ledger->passwords, key, now_ms);
	// Not extended: a day after the first time it is counted again.
	return !slot.value && extend(&ledger->passwords, key, now_ms + DAY, now_ms);
}

// ---- good logins --------------------------------------------------------

bool ledger_is_known(const struct ledger *ledger, uint64_t pair, uint64_t now_ms)
{
	return slots_find(&ledger->pairs, pair, now_ms).value;
}

unsigned ledger_known_users(const struct ledger *ledger, uint64_t ip, uint64_t now_ms)
{
	return (unsigned)worth_of_users(slots_find(&ledger->users, ip, now_ms).value, now_ms);
}

static void note_user(struct ledger *ledger, uint64_t ip, uint64_t pair, uint64_t now_ms)
{
	for (int tries = TRIES; tries; tries--) {
		struct slot slot = slots_find(&ledger->users, ip, now_ms);
		struct users users = users_unpack(slot.value, now_ms);
		uint16_t bits = (uint16_t)(users.bits | 1u << (pair >> 32) % LEDGER_USERS_MAX);
		if (bits == users.bits)
			return;
		users.bits = bits;
		if (slots_put(&slot, ip, users_pack(users)))
			return;
	}
}

// Most logins are of users known for long; for these nothing is written.
void ledger_note_good(struct ledger *ledger, uint64_t ip, uint64_t pair, uint64_t now_ms)
{
	uint64_t until_ms = slots_find(&ledger->pairs, pair, now_ms).value;
	if (until_ms < now_ms + month_ms - DAY)
		extend(&ledger->pairs, pair, now_ms + month_ms, now_ms);
	note_user(ledger, ip, pair, now_ms);
}
