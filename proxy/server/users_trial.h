// users_trial.h: whether users.db can be used, found out by a process that nobody will
// miss.
//
// LMDB trusts the file, and its lock file, to which the workers' group can write: what
// opens a damaged one may end at any moment, or never.  So the supervisor, which should
// not be root there either, and `popgate user` let a child do it first.
//
// Not done: policy/apart.h, whose child keeps its user and may not have as many addresses
// as the file may grow to.
#ifndef POPGATE_PROXY_SERVER_USERS_TRIAL_H
#define POPGATE_PROXY_SERVER_USERS_TRIAL_H

#include "backends/users/users.h"
#include "proxy/server/generation.h"

// What the child shall not have of its parent, who is the supervisor: it is to open a
// file that others can write to.
struct users_trial_parent {
	const struct generations *generations;
	struct snapshot *snapshot; // of a generation to come
};

// Opens users.db in a child that becomes `identity`, and reads all of it where it may
// have been cut off.  False with the reason in *why when it cannot be used.  Waits for
// the child, five seconds at most.  The parent is NULL for a program that has no secrets
// but the key.
__attribute__((warn_unused_result)) bool users_try(const struct database_place *place,
    const struct sandbox_identity *identity, const uint8_t key[USERS_KEY_SIZE],
    const struct users_trial_parent *parent, struct text *why);

#endif
