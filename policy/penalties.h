// penalties.h: what failed logins lead to: delays, turns and bans.
//
// Used by the session, around the question to the store.  The memory is
// ledger.h's; here is the arithmetic, with the listener's options:
//
//   Count      A login is a failure when the store refused it and did not say by a
//              response code that user and password are not to blame; or when the
//              store got the password and no answer came, or the client left before
//              it.  It counts for the address it came from and for the user, each
//              alone, and is forgiven after ten minutes; the next one after another
//              ten.  The same wrong password of a user from an address counts once
//              a day; answers to challenges (NTLM, APOP, CRAM-MD5) are never the same
//              and count each.
//   Keys       An address is a /64 of IPv6; where it stands with a user ("at this
//              address"), a /48 (ledger.h), so neighbours in that share what a known
//              user has free there.  A user is the name at the store, as far as it
//              is known before the claim is judged (backends/route.h), case and
//              outer blanks aside: anna, anna@example.org and DOMAIN\anna
//              are three users with failures of their own where the store judges and
//              no map rule makes them one; where popgate judges, they are one unless
//              a map rule makes them more.  Who has n such names for one user has n
//              times the guesses that a user allows, but no more than the address
//              allows.
//   Strangers  A user who logged in well from this address within 30 days is known
//              there, to others a stranger.  A known user waits for nobody but
//              himself: failures count for the user at this address, and for the
//              address; those of others, or from elsewhere, do not matter.
//   Crowds     An address has as many failures free as users are known there (16 are
//              counted): its failures are divided by one more than these.
//   Delay      The answer to a failed login waits login_delay, doubled with each
//              failure that is counted, at most login_delay_max.
//   Turns      From the first failure on, logins from an address, and those of
//              strangers to a user, are tried one by one, that delay apart, over all
//              connections.  Before, 16 may be under way at once (times the divisor),
//              so that a first answer that is slow to come gives nothing away.  Who
//              would wait longer than login_delay_max is refused, and the store not
//              asked.
//   Bans       ban_after failures (times the divisor) ban an address; ban_after_user
//              ban a user for strangers, ban_after a known user at the address.  Known
//              users are let in all the same, so where there are any, an address is
//              refused at its logins only and not when it connects.  A ban forgives
//              nothing: what is counted then is less by ban_time only, so a guess or
//              two more bring the next one.
//
// So an address gets ban_after guesses, then about one in ten minutes (the rate at
// which they are forgiven); without bans, one in login_delay_max.  A good login
// waits for login_delay_max at most.
//
// Not done: forgetting failures at a good login.  Who guesses has an account of
// his own to log in with in between.
#ifndef POPGATE_POLICY_PENALTIES_H
#define POPGATE_POLICY_PENALTIES_H

#include "policy/ledger.h"
#include "policy/limits.h"
#include "proxy/config/config.h"

// Whether no connection from this address is to be taken.
bool penalties_is_banned(const struct ledger *ledger, const struct listener_options *options,
    const struct addr *ip, uint64_t now_ms);

// What a login waits for and what its failure counts for: an address, a user, or
// a user at an address.
struct lane {
	enum ledger_failures of;
	bool is_ip;
	bool is_user; // both: the user at the address
	uint64_t key;
	uint64_t divisor;   // of failures
	uint64_t ban_after; // with that in it
	struct limits_place place;
};

enum { ATTEMPT_LANES = 2 };

// One login, from its claim to the store's answer; the zero state is none.
struct attempt {
	struct ledger *ledger;
	struct limits *limits;
	const struct listener_options *options;
	const struct addr *ip;
	struct str backend;
	struct str user;
	uint64_t ip_key;
	uint64_t pair_key;
	uint64_t latest_ms; // that it may wait
	size_t num_waiting; // lanes that it waits for; for the others it only counts
	size_t num_passed;
	struct lane lanes[ATTEMPT_LANES];
};

// Everything given is borrowed until attempt_end.
struct attempt_claim {
	const struct addr *ip;
	struct str backend;
	struct str user;
};
void attempt_begin(struct attempt *attempt, struct ledger *ledger, struct limits *limits,
    const struct listener_options *options, const struct attempt_claim *claim, uint64_t now_ms);

enum turn {
	TURN_NOW,      // ask the store
	TURN_LATER,    // ask here again in *out_wait_ms
	TURN_TOO_LATE, // refuse; the attempt has ended
	TURN_BANNED,   // the same
};
enum turn attempt_next_turn(struct attempt *attempt, uint64_t now_ms, uint64_t *out_wait_ms);

// The answer.  A failure returns how long to wait before the client is told, and logs
// a ban that it brings; `password` is what tells one wrong try from another.
void attempt_succeeded(struct attempt *attempt, uint64_t now_ms);
uint64_t attempt_failed(struct attempt *attempt, struct str password, uint64_t now_ms);

// Lets others pass; after either answer, or when there will be none.
void attempt_end(struct attempt *attempt);

#endif
