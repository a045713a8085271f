// ticket_keys.c: see ticket_keys.h.
#include "proxy/server/ticket_keys.h"

#include <string.h>
#include <sys/random.h>

#include "certs/ticket_file.h"
#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"

enum {
	LOOK_MS = 1000,
	REST_MS = 50, // a file is read when it was the same so long
};

static const struct config *serving_config(const struct generations *generations)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	return serving && serving->snapshot ? serving->snapshot->config : NULL;
}

static bool has_file(const struct config *config)
{
	return *config->site.ticket_keys;
}

// ---- keys of our own ----------------------------------------------------

static void make_key(struct tickets *tickets, uint64_t now_ms)
{
	struct ticket_key key;
	BUG_ON(getrandom(&key, sizeof(key), 0) != sizeof(key));
	tickets_make_current(tickets, tickets_add(tickets, &key, false, now_ms));
	explicit_bzero(&key, sizeof(key));
}

// When the current key has sealed for long enough.
static uint64_t rotation_due(const struct tickets *tickets, const struct config *config)
{
	struct ticket_slot current = tickets_slot(tickets, tickets_current_slot(tickets));
	return current.is_given ? 0 : current.since_ms + config->site.ticket_rotation;
}

// What no longer seals opens for as long as its tickets live.
static void let_expire(struct tickets *tickets, size_t slot, uint64_t until_ms)
{
	if (tickets_slot(tickets, slot).until_ms == TICKET_KEY_FOREVER)
		tickets_keep_until(tickets, slot, until_ms);
}

static void rotate(struct tickets *tickets, const struct config *config, uint64_t now_ms)
{
	make_key(tickets, now_ms);
	size_t current = tickets_current_slot(tickets);
	for (size_t i = 0; i < TICKETS_SLOTS; i++)
		if (i != current && tickets_slot(tickets, i).is_used)
			let_expire(tickets, i, now_ms + config->site.ticket_lifetime);
	log_why(LOG_ticket_key_made, "the one before opens its tickets until they expire");
}

// ---- keys of a file -----------------------------------------------------

static size_t put(struct tickets *tickets, const struct ticket_key *key, uint64_t now_ms)
{
	size_t slot = tickets_slot_of(tickets, key->name);
	if (slot == TICKETS_SLOTS)
		return tickets_add(tickets, key, true, now_ms);
	tickets_keep_until(tickets, slot, TICKET_KEY_FOREVER);
	return slot;
}

// In this order: at every moment the current key is one that is there.
static void adopt(
    struct tickets *tickets, const struct ticket_file *file, uint64_t lifetime_ms, uint64_t now_ms)
{
	bool is_wanted[TICKETS_SLOTS] = {false};
	for (size_t i = 0; i < file->num_keys; i++) {
		size_t slot = put(tickets, &file->keys[i], now_ms);
		is_wanted[slot] = true;
		if (i == 0)
			tickets_make_current(tickets, slot);
	}
	for (size_t i = 0; i < TICKETS_SLOTS; i++) {
		struct ticket_slot slot = tickets_slot(tickets, i);
		if (!slot.is_used || is_wanted[i])
			continue;
		if (slot.is_given)
			tickets_drop(tickets, i);
		else
			let_expire(tickets, i, now_ms + lifetime_ms);
	}
}

static void log_read(const char *path, size_t num_keys)
{
	struct log_line line;
	log_begin(&line, LOG_ticket_keys_read);
	log_str(&line, "path", str_of(path));
	log_u64(&line, "keys", num_keys);
	log_end(&line);
}

// A file that cannot be used changes nothing, and is told once; one that has changed
// while it was read is not judged.
static void read_file(
    struct ticket_keys *keys, struct tickets *tickets, const struct config *config, uint64_t now_ms)
{
	const char *path = config->site.ticket_keys;
	struct ticket_file file;
	char room[512];
	struct text why = TEXT(room);
	struct file_mark before = file_mark_of(path);
	bool is_sound = ticket_file_load(path, &file, &why);
	keys->seen = file_mark_of(path);
	if (!file_mark_is_unchanged(&keys->seen, &before)) {
		explicit_bzero(&file, sizeof(file));
		return;
	}
	keys->mark = before;
	if (is_sound) {
		adopt(tickets, &file, config->site.ticket_lifetime, now_ms);
		log_read(path, file.num_keys);
	} else {
		log_why(LOG_ticket_keys_refused, "%s", room);
	}
	explicit_bzero(&file, sizeof(file));
}

static void watch_file(
    struct ticket_keys *keys, struct tickets *tickets, const struct config *config, uint64_t now_ms)
{
	if (now_ms < keys->look_ms)
		return;
	struct file_mark now = file_mark_of(config->site.ticket_keys);
	bool is_new = !file_mark_is_unchanged(&now, &keys->mark);
	bool rests = file_mark_is_unchanged(&now, &keys->seen);
	keys->seen = now;
	if (is_new && rests)
		read_file(keys, tickets, config, now_ms);
	keys->look_ms = now_ms + (is_new ? REST_MS : LOOK_MS);
}

// ---- what the supervisor calls ------------------------------------------

void ticket_keys_prepare(struct ticket_keys *keys, const struct generations *generations,
    const struct config *config, uint64_t now_ms)
{
	struct tickets *tickets = generations->tickets;
	if (tickets_current_slot(tickets) < TICKETS_SLOTS)
		return;
	if (has_file(config))
		read_file(keys, tickets, config, now_ms);
	if (tickets_current_slot(tickets) == TICKETS_SLOTS)
		make_key(tickets, now_ms);
}

static void wipe_expired(struct tickets *tickets, uint64_t now_ms)
{
	for (size_t i = 0; i < TICKETS_SLOTS; i++) {
		struct ticket_slot slot = tickets_slot(tickets, i);
		if (slot.is_used && slot.until_ms <= now_ms)
			tickets_drop(tickets, i);
	}
}

void ticket_keys_tick(
    struct ticket_keys *keys, const struct generations *generations, uint64_t now_ms)
{
	const struct config *config = serving_config(generations);
	struct tickets *tickets = generations->tickets;
	if (!config)
		return;
	if (has_file(config)) {
		watch_file(keys, tickets, config, now_ms);
	} else {
		keys->mark = keys->seen = (struct file_mark){0};
		if (now_ms >= rotation_due(tickets, config))
			rotate(tickets, config, now_ms);
	}
	wipe_expired(tickets, now_ms);
}

uint64_t ticket_keys_next_due(const struct ticket_keys *keys, const struct generations *generations)
{
	const struct config *config = serving_config(generations);
	const struct tickets *tickets = generations->tickets;
	if (!config)
		return CLOCK_NEVER;
	uint64_t due = has_file(config) ? keys->look_ms : rotation_due(tickets, config);
	for (size_t i = 0; i < TICKETS_SLOTS; i++) {
		struct ticket_slot slot = tickets_slot(tickets, i);
		if (slot.is_used)
			due = clock_earlier(due, slot.until_ms);
	}
	return due;
}
