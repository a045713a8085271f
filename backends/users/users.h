// users.h: users.db: who popgate's own users are.
//
// Read by the verifier `users` and the login at the store, in a worker, which
// opens it after it has become another user and before the filter of system calls;
// changed by `popgate user` (proxy/user.c).  A change is seen by the next look-up
// of every worker.
//
// Look-ups wait for nothing but the disk, when pages are not in memory.  They do
// the same work whether there is such a user or not.
//
// A *why of `const char **` is for the log, and valid until the next call.
#ifndef POPGATE_BACKENDS_USERS_USERS_H
#define POPGATE_BACKENDS_USERS_USERS_H

#include "backends/users/database.h"
#include "backends/users/key.h"
#include "backends/users/name.h"
#include "backends/users/record.h"

// Bytes that users.db may grow to: some thirty million users.
#define USERS_SIZE_MAX ((size_t)16 << 30)

enum users_found {
	USERS_FOUND,
	USERS_UNKNOWN,
	USERS_UNAVAILABLE, // damaged, replaced, sealed with another key
};

struct users;

// In a worker: for look-ups, in place.  NULL with the reason in *why.
struct users *users_open(const char *path, const uint8_t key[USERS_KEY_SIZE], struct text *why);

// The same for commands, and for the supervisor before it starts workers: files
// that are missing or belong to another users.db are made, as `use` allows.
struct users *users_open_at(const struct database_place *place, enum database_use use,
    const uint8_t key[USERS_KEY_SIZE], struct text *why);

// Reads all of users.db where it may have been cut off, which is the end of the process
// if it was: only for a process that nobody will miss.  False with the reason in *why
// when anything else is wrong.
bool users_try_all(struct users *users, const char **why);

void users_close(struct users **users);

// Looks for user@domain, then for the user without a domain.  The caller owns *out,
// which is the zero state unless the user is found.
enum users_found users_look_up(struct users *users, struct str domain, struct str user,
    struct user_record *out, const char **why);

// The user of exactly this folded name.
enum users_found users_get(
    struct users *users, struct str name, struct user_record *out, const char **why);

// Told of each user; embedded in its owner.  False ends the walk.
struct users_visitor {
	bool (*visit)(
	    struct users_visitor *visitor, struct str name, const struct user_record *record);
};

// Shows all users in the order of their names' bytes, as they are at the beginning.
// USERS_UNKNOWN: the visitor ended it.
enum users_found users_walk(struct users *users, struct users_visitor *visitor, const char **why);

// Changes, all of them or none; users_begin waits for another command that changes.
// Names are folded (name.h).  After a failure the changes can only be aborted, but
// for users_commit, after which they are over.
__attribute__((warn_unused_result)) bool users_begin(struct users *users, const char **why);
__attribute__((warn_unused_result)) bool users_put(
    struct users *users, struct str name, const struct user_record *record, const char **why);
enum users_found users_remove(struct users *users, struct str name, const char **why);
__attribute__((warn_unused_result)) bool users_commit(struct users *users, const char **why);
void users_abort(struct users *users);

#endif
