// folder_lock.h: one at a time puts certificates and keys into a folder.
//
// Called by `popgate cert install`, `request` and `self-signed` (install.c,
// proxy/cert_make.c).  Two installs at a time would leave the chain of one and the key of
// the other.  The lock is flock(2) on the folder itself: it leaves no file behind, and goes
// when the process ends, however that ends.
#ifndef POPGATE_CERTS_FOLDER_LOCK_H
#define POPGATE_CERTS_FOLDER_LOCK_H

#include "proxy/base/text.h"

enum { FOLDER_LOCK_PLACES = 2, FOLDER_LOCK_WAIT_S = 5 };

struct folder_lock {
	int fds[FOLDER_LOCK_PLACES];
	size_t num;
	bool is_held; // false also where a file system has no locks
};

// Waits for the folders of both places, at most FOLDER_LOCK_WAIT_S for each.  False with the
// reason in *why when another process goes on having one.  A folder that cannot be opened is
// passed over: whoever writes there says why.  In either case folder_lock_done is due.
__attribute__((warn_unused_result)) bool folder_lock_take(
    struct folder_lock *lock, const char *place, const char *other_place, struct text *why);

void folder_lock_done(struct folder_lock *lock);

#endif
