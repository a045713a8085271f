// verify.h: verifiers judge a claim: is this client who it says it is?
//
// Started by the session once a claim is made and it is its turn.  A listener
// names its verifiers in order (option `verify`); the first that can judge the
// claim's kind and knows the user decides.  A plain claim that comes to
// `backend` is not judged here: the store does that at the login.
//
// Follows the contract of everything that waits:
//   1. verification_start never calls on_done before it returns.
//   2. on_done is called exactly once, unless the verification is cancelled.
//   3. After verification_cancel it is not called.
//   4. The memory is the owner's; within on_done it may be started again.
//   5. claim and account are borrowed until the end.
#ifndef POPGATE_BACKENDS_VERIFY_VERIFY_H
#define POPGATE_BACKENDS_VERIFY_VERIFY_H

#include "backends/verify/verify_users.h"
#include "backends/verify/winbind.h"
#include "proxy/net/net.h"

#define VERIFIER(name, claims, sentence) VERIFIER_##name,
enum verifier {
#include "backends/verify/verifiers.def"
	VERIFIERS
};
#undef VERIFIER

// What a worker's verifiers need; made before it serves.  NULL: not configured.
struct verify_sources {
	struct net *net;
	struct users *users;
	struct winbind *winbind;
};

// One claim being judged; embedded in its owner.  The first members are filled
// in by the caller, the rest is zero or what an earlier verification left.
struct verification {
	const struct verify_sources *sources;
	const struct claim *claim;
	const struct account *account;
	bool has_tls;
	const enum verifier *order; // what the listener names
	size_t num_order;
	bool next_if_unavailable;
	void (*on_done)(struct verification *verification, enum outcome outcome);

	enum verifier verifier;    // that decided, or is asked now
	const char *why;           // for the log when not accepted; static
	struct user_record record; // what users.db knows, when that decided
	struct net_task task;
	struct winbind_request winbind;
};

void verification_start(struct verification *verification);
void verification_cancel(struct verification *verification);
void verification_done(struct verification *verification); // wipes

// ---- the verifiers ------------------------------------------------------

// verify_winbind.c: asks a helper; calls verification_winbind_done.  CLAIM_plain
// and CLAIM_ntlm.
void verify_winbind_start(struct verification *verification);
void verify_winbind_cancel(struct verification *verification);
void verification_decide(struct verification *verification, enum outcome outcome, const char *why);

#endif
