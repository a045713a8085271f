// draft.h: a file being written beside its place, to come there whole or not at all.
//
// For whoever writes a key or a certificate.  A full disk or a crash leaves the
// place as it was; at worst the draft (FILE.popgate-draft-XXXXXX) stays, readable by its
// owner only, until draft_sweep.  An abandoned draft is removed by draft_done, which is due
// in any case.
#ifndef POPGATE_CERTS_DRAFT_H
#define POPGATE_CERTS_DRAFT_H

#include <limits.h>
#include <sys/stat.h>

#include "proxy/base/text.h"

struct draft {
	const char *place;   // the caller's
	char path[PATH_MAX]; // "": nothing was written, or it is in its place
};

// Writes the bytes to the disk, readable by the owner only.  False with the reason
// in *why.
__attribute__((warn_unused_result)) bool draft_write(
    struct draft *draft, const char *place, struct str bytes, struct text *why);

// The same with the bytes of another file, whatever they are.
__attribute__((warn_unused_result)) bool draft_copy(
    struct draft *draft, const char *place, const char *from_path, struct text *why);

// Gives the draft this mode and, where we may, this owner and group.
__attribute__((warn_unused_result)) bool draft_allow(
    struct draft *draft, const struct stat *like, struct text *why);

// Puts it in its place, where nothing may be yet; after a failure nothing is.
__attribute__((warn_unused_result)) bool draft_place(struct draft *draft, struct text *why);

// Puts it in the place of what is there, in one step.
__attribute__((warn_unused_result)) bool draft_replace(struct draft *draft, struct text *why);

void draft_done(struct draft *draft);

// Removes drafts for that place which interrupted runs have left, each with a line in *notes.
// Only for who holds the folder (folder_lock.h): nobody's draft can be one that is used then.
void draft_sweep(const char *place, struct text *notes);

// Makes the names in the folder of `place` last through a crash.  False with the
// reason in *why.
__attribute__((warn_unused_result)) bool draft_sync_folder(const char *place, struct text *why);

#endif
