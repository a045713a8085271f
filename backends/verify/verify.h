// verify.h: verifiers judge a claim: is this client who it says it is?
//
// Started by the session once a claim is made and it is its turn.  A listener
// names its verifiers in order (option `verify`); the first that can judge the
// claim's kind and knows the user decides.  `backend` is no verifier here: a plain
// claim that comes to it is accepted unjudged, for the store to judge at the login;
// NTLM that the store has challenged does not come here at all.  `certificate` accepts
// what TLS has judged already: the word of the client's authority will do.
//
// What users.db says of a user whom it cannot judge (added with --no-password) holds
// whoever judges after it: methods, mailbox, backend, the password for the store.
//
// Follows the contract of everything that waits:
//   1. verification_start never calls on_done before it returns.
//   2. on_done is called exactly once, unless the verification is cancelled.
//   3. After verification_cancel it is not called.
//   4. The memory is the owner's; within on_done it may be started again.
//   5. sources, verifiers, claim and account are borrowed until the end.
#ifndef POPGATE_BACKENDS_VERIFY_VERIFY_H
#define POPGATE_BACKENDS_VERIFY_VERIFY_H

#include "backends/verify/verify_users.h"
#include "backends/verify/winbind.h"
#include "proxy/net/net.h"

#define VERIFIER(name, claims) VERIFIER_##name,
enum verifier {
#include "backends/verify/verifiers.def"
	VERIFIERS
};
#undef VERIFIER

const char *verifier_name(enum verifier verifier);

// ---- what a listener's options say --------------------------------------

struct listener_options;

struct verifiers {
	enum verifier order[VERIFIERS];
	size_t num;
	bool next_if_unavailable;
};

struct verifiers verifiers_of(const struct listener_options *options);

// The kinds of claim that can be judged at all.
unsigned verifiers_claims(const struct verifiers *verifiers);

// Whether the store judges claims of this kind, and nobody before it.
bool verifiers_leave_to_store(const struct verifiers *verifiers, enum claim_kind kind);

// ---- judging ------------------------------------------------------------

// What a worker's verifiers need; made before it serves.  NULL: not configured, or
// users.db is gone, which is as good as one that cannot be read.
struct verify_sources {
	struct net *net;
	struct users *users;
	struct winbind *winbind;
};

// One claim being judged; embedded in its owner.  The first members are filled
// in by the caller, the rest is zero or what an earlier verification left.
struct verification {
	const struct verify_sources *sources;
	const struct verifiers *verifiers;
	const struct claim *claim;
	const struct account *account;
	bool has_tls;
	// accepted, rejected or unavailable
	void (*on_done)(struct verification *verification, enum outcome outcome);
	void *context;

	enum verifier verifier; // that decided, or is asked now
	const char *why;        // for the log when not accepted; static, or until the next look-up
	struct user_record record; // what users.db knows, whoever decided; zero when nothing
	size_t next;               // in the order
	bool is_unsure;            // one could not judge
	struct net_task task;
	struct winbind_request winbind;
};

void verification_start(struct verification *verification);
void verification_cancel(struct verification *verification);
void verification_done(struct verification *verification); // wipes

// ---- the verifiers ------------------------------------------------------

// verify_winbind.c: asks a helper; calls verification_decide.  CLAIM_plain and
// CLAIM_ntlm.
void verify_winbind_start(struct verification *verification);
void verify_winbind_cancel(struct verification *verification);

// What the verifier that is asked has found; not before its start has returned.
void verification_decide(struct verification *verification, enum outcome outcome, const char *why);

#endif
