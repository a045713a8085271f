// database.h: the file users.db: an LMDB database of short keys and values, read
// in place by every worker while one command changes it.
//
// Called by users.c alone; the place that includes lmdb.h.  Nothing here knows
// what the values mean.
//
// A worker opens it before it gives up open(2); a look afterwards needs lseek and
// memory only, never waits for a writer, and sees what was last committed.  A
// reader that dies inside a look leaves a slot behind, which the next open for
// changes clears.
//
// LMDB keeps beside the file one named FILE-lock, which every reader must be able
// to write.  It belongs to the file that it was made for: used with another (an
// administrator moved a copy to its place) it would lead to old or torn data.  So
// the number of its file stands at its end, and who opens a file with the lock of
// another makes a new one, which takes the right to: the supervisor's, before it
// starts workers, or that of `popgate user`.
//
// Who can write to it can make readers and writers end or wait, and is trusted with
// that by being of the workers' group.  The supervisor, which is root and must do
// neither, only prepares the files.
//
// Not done: LMDB without locks and locks of our own, which would need neither the
// second file nor rights to write it.  A reader would then have to keep the writer
// waiting, or the writer the reader.
//
// A *why of `const char **` is valid until the next call.
#ifndef POPGATE_BACKENDS_USERS_DATABASE_H
#define POPGATE_BACKENDS_USERS_DATABASE_H

#include <sys/types.h>

#include "proxy/base/text.h"

enum database_use {
	DATABASE_READ,
	DATABASE_CHANGE,
	DATABASE_MAKE, // change, and make it where there is none
};

struct database_place {
	const char *path;
	size_t size_max; // bytes that it may grow to; address space, no memory
	bool is_shared;  // files that are made are for the group too
	gid_t group;
};

enum database_found { DATABASE_FOUND, DATABASE_ABSENT, DATABASE_FAILED };

struct database;

// What takes the right to make files: sees to it that the lock file is there and this
// file's, and with DATABASE_MAKE the file too.  Nothing of either is mapped, so that
// nobody who can write to the lock file can do harm.  False with the reason in *why.
__attribute__((warn_unused_result)) bool database_prepare(
    const struct database_place *place, enum database_use use, struct text *why);

// Prepares and opens.  NULL with the reason in *why.  The owner closes it in the process that
// opened it.
struct database *database_open(
    const struct database_place *place, enum database_use use, struct text *why);
void database_close(struct database **database);

// Whether the file ends before its last page: a copy that was broken off does, and one
// whose last pages are in no use.  Reading one that was broken off is the end of the
// process.
bool database_is_short(const struct database *database);

// A look at what is committed, which stays as it is until the end; looks are short.
// After a beginning that failed there is no end.
__attribute__((warn_unused_result)) bool database_look(struct database *database, const char **why);
void database_look_away(struct database *database);

// Changes, all of them or none; waits for another process that changes.  One that
// failed to commit is over.
__attribute__((warn_unused_result)) bool database_begin(
    struct database *database, const char **why);
__attribute__((warn_unused_result)) bool database_commit(
    struct database *database, const char **why);
void database_abort(struct database *database);

// Within a look or changes.  A value is valid until their end or the next change.
enum database_found database_get(
    struct database *database, struct str key, struct str *out_value, const char **why);

// The first key and value behind `key`, in the order of bytes; an empty key: of all.
enum database_found database_next(struct database *database, struct str key, struct str *out_key,
    struct str *out_value, const char **why);

// Within changes.
__attribute__((warn_unused_result)) bool database_put(
    struct database *database, struct str key, struct str value, const char **why);
enum database_found database_remove(struct database *database, struct str key, const char **why);

#endif
