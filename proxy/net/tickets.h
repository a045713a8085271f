// tickets.h: the keys that TLS session tickets are sealed with, in pages that all
// processes of popgate share.
//
// Made by the supervisor, who alone writes them (proxy/server/ticket_keys.c: when
// there is a new key, and when an old one goes); kept over reloads and upgrades, so
// a ticket from one worker is good at all of them and at those that come after.
// Workers map them read-only and could not do otherwise (tickets_be_reader).
// tls_tickets.c seals and opens with them.
//
// One key seals, the current one; any that is there opens.  A key is put into a free
// slot whole before it is made current, and it leaves its slot only when nothing may
// be opened with it any more.  So nobody waits and no lock is needed: who reads a
// slot while it changes sees that by its serial number and takes another look, or
// leaves the ticket be, and a full handshake follows.
//
// Not used: policy/mapping.h, whose pages every worker writes.
//
// Times are ms of CLOCK_MONOTONIC.
#ifndef POPGATE_PROXY_NET_TICKETS_H
#define POPGATE_PROXY_NET_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TICKET_NAME_SIZE = 16, TICKET_SECRET_SIZE = 32, TICKETS_SLOTS = 64 };

// The name stands in each ticket, in the clear.
struct ticket_key {
	uint8_t name[TICKET_NAME_SIZE];
	uint8_t secret[TICKET_SECRET_SIZE];
};

#define TICKET_KEY_FOREVER UINT64_MAX

struct tickets;

// New pages without a key.  NULL with errno set when the kernel refuses.
struct tickets *tickets_new(void);

// Maps pages that an earlier popgate made (tickets_fd, kept over execv).  NULL
// when fd holds none or they were laid out otherwise.
struct tickets *tickets_open(int fd);
int tickets_fd(const struct tickets *tickets);
void tickets_free(struct tickets **tickets);

// For a new worker: from here on this process can only read the pages.  False with
// errno set when the kernel refuses.
__attribute__((warn_unused_result)) bool tickets_be_reader(struct tickets *tickets);

// ---- readers ------------------------------------------------------------

// The key to seal with; the caller wipes it.  There must be one.
void tickets_current(const struct tickets *tickets, struct ticket_key *out_key);

// The key of this name, if it still opens tickets at this time; then the caller
// wipes it.
bool tickets_find(const struct tickets *tickets, const uint8_t name[TICKET_NAME_SIZE],
    uint64_t now_ms, struct ticket_key *out_key);

// ---- the one writer -----------------------------------------------------

// What the writer knows of a slot.
struct ticket_slot {
	bool is_used;
	bool is_given;     // from the administrator's file
	uint64_t since_ms; // when the key came
	uint64_t until_ms; // when it no longer opens; TICKET_KEY_FOREVER: nobody has said
};

struct ticket_slot tickets_slot(const struct tickets *tickets, size_t slot);

// The slot of the key of this name, or that of the current key; TICKETS_SLOTS when
// there is none.
size_t tickets_slot_of(const struct tickets *tickets, const uint8_t name[TICKET_NAME_SIZE]);
size_t tickets_current_slot(const struct tickets *tickets);

// Puts a key into a free slot, or if there is none into the one whose key has least
// time left (never the current one's).  It opens tickets from now on.
size_t tickets_add(
    struct tickets *tickets, const struct ticket_key *key, bool is_given, uint64_t now_ms);

// Seals with this one.
void tickets_make_current(struct tickets *tickets, size_t slot);

// Says how long the key of a slot shall open tickets.
void tickets_keep_until(struct tickets *tickets, size_t slot, uint64_t until_ms);

// Wipes the slot, which is not the current one.
void tickets_drop(struct tickets *tickets, size_t slot);

#endif
