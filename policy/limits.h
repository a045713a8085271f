// limits.h: how many sessions there are: in all, per address, per user;
// accurate across workers and across their deaths.
//
// The counts live in shared pages (one memfd), made by the supervisor and
// kept over reloads and upgrades.  A worker takes a place when a session
// begins and gives it back when the session ends.  Each worker also keeps, in
// pages of its own, a journal of the places it holds, so that the supervisor
// can give back what a killed worker held.  No lock lives in the pages: counts
// are 64-bit words changed by compare-and-swap, and each journal has one
// writer.
//
// Not done: a counting process to be asked.  It would cost two context
// switches a session and could itself die.
#ifndef POPGATE_POLICY_LIMITS_H
#define POPGATE_POLICY_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/addr.h"
#include "proxy/base/str.h"

// Workers alive at a time, draining ones included.
enum { LIMITS_WORKERS = 512 };

struct limits;

// A place taken; the zero state is none.
struct limits_place {
	uint32_t entry; // in the worker's journal, counted from 1
};

// Makes new shared pages, all counts 0.  NULL with errno set when the kernel
// refuses.
struct limits *limits_new(void);

// Maps pages that an earlier popgate made (limits_fd, kept over execv).  NULL
// when fd holds none or they were laid out otherwise.
struct limits *limits_open(int fd);
int limits_fd(const struct limits *limits);
void limits_free(struct limits **limits);

// Which worker this process is, 0 to LIMITS_WORKERS-1; called once by a worker
// before it takes a place.
void limits_be_worker(struct limits *limits, unsigned worker);

// Gives back what a worker held that has died.  Called by the supervisor.
void limits_forget_worker(struct limits *limits, unsigned worker);

// What is counted: a listener, an address at a listener, its TLS handshakes, a user.  There are no
// other keys than these and ledger.h's.  The pages must be open first: they hold
// the secret that keys are made with (key.h).  Among tens of thousands of keys
// two may by chance count as one, about once in 300,000.
uint64_t limits_key_listener(struct str listener);
uint64_t limits_key_ip(struct str listener, const struct addr *ip);
uint64_t limits_key_handshake(struct str listener, const struct addr *ip);
uint64_t limits_key_user(struct str backend, struct str user);

// Takes one of `max` places under the key.  False when all are taken, or when
// there are so many keys (some 140,000) that there is no room for this one.
__attribute__((warn_unused_result)) bool limits_take(
    struct limits *limits, uint64_t key, uint64_t max, struct limits_place *out_place);

// Gives it back; none is allowed.
void limits_give_back(struct limits *limits, struct limits_place *place);

// How many places are taken under the key.
uint64_t limits_count(const struct limits *limits, uint64_t key);

#endif
