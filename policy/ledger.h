// ledger.h: what is remembered of addresses and users: how fast they connect,
// what logins failed, who is banned, who logged in well.
//
// One set of shared pages, 14 MiB at most (slots.h), made by the supervisor and
// kept over reloads and upgrades, changed by all workers without a lock.
// It only remembers; what follows from it, penalties.c says.
//
// What is kept is a moment in time wherever that can be: when a debt is paid off,
// when a ban ends.  Then nothing has to be swept, and a count that goes down by
// itself is one number: each failed login moves the moment by ten minutes, and
// how many are still counted is how far away it is.  Tables of their own for
// each kind: no flood of connections or of wrong passwords drives out a ban.
//
// Times are milliseconds of the loop's clock (CLOCK_MONOTONIC, so the same in all
// processes and over an upgrade); they may go back a little from one worker to
// the next.
//
// Of a wrong password 39 bits of a keyed hash are kept, for a day.  Who can read
// these pages is a worker, and sees passwords anyway.
#ifndef POPGATE_POLICY_LEDGER_H
#define POPGATE_POLICY_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/addr.h"
#include "proxy/base/str.h"

struct ledger;

// New pages in which nothing stands.  NULL with errno set when the kernel
// refuses.
struct ledger *ledger_new(void);

// Maps pages that an earlier popgate made (ledger_fd, kept over execv).  NULL
// when fd holds none or they were laid out otherwise.
struct ledger *ledger_open(int fd);
int ledger_fd(const struct ledger *ledger);
void ledger_free(struct ledger **ledger);

// An address, a user of a backend, a user at an address, see key.h.  Good for
// the tables here and for limits.h.  In the pair an IPv6 address is its /48 only:
// pairs are kept for a month, and a user who logs in well from each /64 of a large
// block would drive everybody else's out of their table.
uint64_t ledger_key_ip(const struct ledger *ledger, const struct addr *ip);
uint64_t ledger_key_user(const struct ledger *ledger, struct str backend, struct str user);
uint64_t ledger_key_pair(
    const struct ledger *ledger, const struct addr *ip, struct str backend, struct str user);

// Whether one more connection fits: per_minute from this address to this
// listener, of which those of 15 seconds (one at least) may come at once.
bool ledger_take_connection(struct ledger *ledger, struct str listener, const struct addr *ip,
    uint64_t per_minute, uint64_t now_ms);

// Failed logins, of which one is forgiven every LEDGER_FORGIVE_MS.  Those of
// addresses and of users are apart.
enum { LEDGER_FORGIVE_MS = 10 * 60 * 1000 };
enum ledger_failures { LEDGER_FAILURES_OF_IP, LEDGER_FAILURES_OF_USER };

uint64_t ledger_failures(
    const struct ledger *ledger, enum ledger_failures of, uint64_t key, uint64_t now_ms);

// One more, but never more than `most`; returns how many there are now.
uint64_t ledger_add_failure(
    struct ledger *ledger, enum ledger_failures of, uint64_t key, uint64_t most, uint64_t now_ms);

// Takes the next turn, `spacing_ms` behind which the one after it is.  False when
// it would come later than latest_ms; then nothing is taken.
__attribute__((warn_unused_result)) bool ledger_take_turn(struct ledger *ledger, uint64_t key,
    uint64_t spacing_ms, uint64_t latest_ms, uint64_t now_ms, uint64_t *out_turn_ms);

// No turn before this time.
void ledger_hold_turns(struct ledger *ledger, uint64_t key, uint64_t until_ms, uint64_t now_ms);

bool ledger_is_banned(const struct ledger *ledger, uint64_t key, uint64_t now_ms);

// False when it was banned already, and stays so until the time of before.
bool ledger_ban(struct ledger *ledger, uint64_t key, uint64_t until_ms, uint64_t now_ms);

// Whether the user logged in well from the address within 30 days.
bool ledger_is_known(const struct ledger *ledger, uint64_t pair, uint64_t now_ms);

// About how many users are: some may count as one, some for a month longer; at
// most LEDGER_USERS_MAX, and one at least when anybody is known there.
enum { LEDGER_USERS_MAX = 16 };
unsigned ledger_known_users(const struct ledger *ledger, uint64_t ip, uint64_t now_ms);

void ledger_note_good(struct ledger *ledger, uint64_t ip, uint64_t pair, uint64_t now_ms);

// Notes a wrong password of a user at an address; false when it was noted within
// 24 hours already.
bool ledger_note_password(
    struct ledger *ledger, uint64_t pair, struct str password, uint64_t now_ms);

#endif
