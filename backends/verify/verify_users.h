// verify_users.h: the verifier `users`: judges claims by what users.db knows.
//
// Called by the chain of verifiers (verify.h), in a worker.  Judges at once; waits
// for nothing.
//
//   claim         is judged by
//   CLAIM_plain   the NT hash of the password
//   CLAIM_ntlm    the NT hash, when the challenge was ours; a relayed one never
//   CLAIM_digest  the password itself, where it is kept
//   CLAIM_external  that the user is there, and of the certificate's domain if that
//                 names one
#ifndef POPGATE_BACKENDS_VERIFY_VERIFY_USERS_H
#define POPGATE_BACKENDS_VERIFY_VERIFY_USERS_H

#include "backends/account.h"
#include "backends/users/users.h"
#include "backends/verify/outcome.h"
#include "proxy/pop3/claim.h"

// Does the same work for a user who is not there as for one who is.  Sets *why, for
// the log and valid until the next call, unless it accepts.  A user without what
// this kind of claim is judged by is unknown here; one who is disabled is rejected.
//
// Fills in *out_record, the caller's from then on, when it accepts, and of a user
// whom it knows but leaves to another verifier; else that is the zero state.
//
// Whether the user may use this login method is not looked at: see
// user_record_allows.
enum outcome verify_users(struct users *users, const struct claim *claim,
    const struct account *account, struct user_record *out_record, const char **why);

#endif
