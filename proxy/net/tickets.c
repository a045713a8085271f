// tickets.c: the shared pages and the slots in them.  See tickets.h.
//
// The words of a key are atomic, since a reader may look at a slot that is just
// being wiped or filled.  Its serial number is 0 meanwhile, and another one
// afterwards; a copy between two looks at one number is whole.
#include "proxy/net/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/die.h"

enum { WORDS = sizeof(struct ticket_key) / sizeof(uint64_t) };

// The last digit is the layout's version.
static const uint64_t magic = 0x706f707469636b01;

struct slot {
	alignas(64) _Atomic uint64_t serial; // 0: free, or about to change
	_Atomic uint64_t until_ms;
	_Atomic uint64_t words[WORDS];
	uint64_t since_ms; // this and the next are the writer's alone
	uint64_t is_given;
};

struct pages {
	uint64_t magic;
	uint64_t last_serial;     // the writer's alone
	_Atomic uint64_t current; // slot
	struct slot slots[TICKETS_SLOTS];
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock in the pages could be left held by a crash");
_Static_assert(sizeof(struct ticket_key) % sizeof(uint64_t) == 0, "a key is whole words");

struct tickets {
	int fd; // -1: a reader's
	struct pages *pages;
};

// ---- the pages ----------------------------------------------------------

static struct tickets *map(int fd)
{
	void *at = mmap(NULL, sizeof(struct pages), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return NULL;
	struct tickets *tickets = xcalloc(1, sizeof(*tickets));
	*tickets = (struct tickets){fd, at};
	return tickets;
}

struct tickets *tickets_new(void)
{
	int fd = memfd_create("popgate-tickets", MFD_CLOEXEC);
	struct tickets *tickets = NULL;
	if (fd >= 0 && ftruncate(fd, sizeof(struct pages)) == 0)
		tickets = map(fd);
	int why = errno;
	if (tickets) {
		tickets->pages->magic = magic;
		atomic_store(&tickets->pages->current, TICKETS_SLOTS);
	} else if (fd >= 0) {
		close(fd);
	}
	errno = why;
	return tickets;
}

struct tickets *tickets_open(int fd)
{
	struct stat stat;
	uint64_t found = 0;
	bool are_ours = fstat(fd, &stat) == 0 && stat.st_size == sizeof(struct pages) &&
	                pread(fd, &found, sizeof(found), 0) == sizeof(found) && found == magic;
	return are_ours ? map(fd) : NULL;
}

int tickets_fd(const struct tickets *tickets)
{
	return tickets->fd;
}

void tickets_free(struct tickets **tickets)
{
	if (!*tickets)
		return;
	munmap((*tickets)->pages, sizeof(struct pages));
	if ((*tickets)->fd >= 0)
		close((*tickets)->fd);
	free(*tickets);
	*tickets = NULL;
}

// A mapping of a descriptor that was opened for reading cannot be made writable
// again, unlike one of the descriptor that we have.
bool tickets_be_reader(struct tickets *tickets)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tickets->fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	void *at = mmap(NULL, sizeof(struct pages), PROT_READ, MAP_SHARED, fd, 0);
	int why = errno;
	close(fd);
	errno = why;
	if (at == MAP_FAILED)
		return false;
	munmap(tickets->pages, sizeof(struct pages));
	close(tickets->fd);
	*tickets = (struct tickets){-1, at};
	return true;
}

// ---- readers ------------------------------------------------------------

// False when there is no key, or it changes just now.
static bool copy(const struct slot *slot, struct ticket_key *out_key)
{
	uint64_t words[WORDS];
	uint64_t serial = atomic_load(&slot->serial);
	for (size_t i = 0; i < WORDS; i++)
		words[i] = atomic_load(&slot->words[i]);
	bool is_whole = serial && atomic_load(&slot->serial) == serial;
	memcpy(out_key, words, sizeof(*out_key));
	explicit_bzero(words, sizeof(words));
	return is_whole;
}

// Ends, since the writer makes another key current before it touches that slot.
void tickets_current(const struct tickets *tickets, struct ticket_key *out_key)
{
	const struct pages *pages = tickets->pages;
	uint64_t slot;
	do {
		slot = atomic_load(&pages->current);
		BUG_ON(slot >= TICKETS_SLOTS);
	} while (!copy(&pages->slots[slot], out_key));
}

bool tickets_find(const struct tickets *tickets, const uint8_t name[TICKET_NAME_SIZE],
    uint64_t now_ms, struct ticket_key *out_key)
{
	for (size_t i = 0; i < TICKETS_SLOTS; i++) {
		const struct slot *slot = &tickets->pages->slots[i];
		if (now_ms < atomic_load(&slot->until_ms) && copy(slot, out_key) &&
		    memcmp(out_key->name, name, TICKET_NAME_SIZE) == 0)
			return true;
	}
	explicit_bzero(out_key, sizeof(*out_key));
	return false;
}

// ---- the one writer -----------------------------------------------------

struct ticket_slot tickets_slot(const struct tickets *tickets, size_t slot)
{
	const struct slot *at = &tickets->pages->slots[slot];
	return (struct ticket_slot){
	    .is_used = atomic_load(&at->serial),
	    .is_given = at->is_given,
	    .since_ms = at->since_ms,
	    .until_ms = atomic_load(&at->until_ms),
	};
}

size_t tickets_slot_of(const struct tickets *tickets, const uint8_t name[TICKET_NAME_SIZE])
{
	struct ticket_key key;
	size_t i = 0;
	while (i < TICKETS_SLOTS && (!copy(&tickets->pages->slots[i], &key) ||
	                                memcmp(key.name, name, TICKET_NAME_SIZE) != 0))
		i++;
	explicit_bzero(&key, sizeof(key));
	return i;
}

size_t tickets_current_slot(const struct tickets *tickets)
{
	return atomic_load(&tickets->pages->current);
}

static size_t find_room(const struct tickets *tickets)
{
	size_t best = TICKETS_SLOTS, current = tickets_current_slot(tickets);
	for (size_t i = 0; i < TICKETS_SLOTS; i++) {
		struct ticket_slot slot = tickets_slot(tickets, i);
		if (!slot.is_used)
			return i;
		if (i != current &&
		    (best == TICKETS_SLOTS || slot.until_ms < tickets_slot(tickets, best).until_ms))
			best = i;
	}
	return best;
}

size_t tickets_add(
    struct tickets *tickets, const struct ticket_key *key, bool is_given, uint64_t now_ms)
{
	struct pages *pages = tickets->pages;
	size_t room = find_room(tickets);
	struct slot *slot = &pages->slots[room];
	uint64_t words[WORDS];
	memcpy(words, key, sizeof(words));
	atomic_store(&slot->serial, 0);
	for (size_t i = 0; i < WORDS; i++)
		atomic_store(&slot->words[i], words[i]);
	slot->since_ms = now_ms;
	slot->is_given = is_given;
	atomic_store(&slot->until_ms, TICKET_KEY_FOREVER);
	atomic_store(&slot->serial, ++pages->last_serial);
	explicit_bzero(words, sizeof(words));
	return room;
}

void tickets_make_current(struct tickets *tickets, size_t slot)
{
	atomic_store(&tickets->pages->current, slot);
}

void tickets_keep_until(struct tickets *tickets, size_t slot, uint64_t until_ms)
{
	atomic_store(&tickets->pages->slots[slot].until_ms, until_ms);
}

void tickets_drop(struct tickets *tickets, size_t slot)
{
	struct slot *at = &tickets->pages->slots[slot];
	BUG_ON(slot == tickets_current_slot(tickets));
	atomic_store(&at->serial, 0);
	atomic_store(&at->until_ms, 0);
	for (size_t i = 0; i < WORDS; i++)
		atomic_store(&at->words[i], 0);
}
