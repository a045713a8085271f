// install.h: puts a new certificate and its key in the places of the old ones.
//
// Called by `popgate cert install`.  Nothing is changed before everything has been
// found good and lies written on the same disk.  Then each of the two files comes into
// its place in one step (rename(2)), the two at once but for some microseconds, in
// which no signal ends the process; should the second not come, the first goes back.
// The old pair stays beside as FILE.old, and does so on the disk before the first of the
// two steps: a power cut between them leaves half of each, and popgate, which refuses
// that, says what brings the old pair back (kept.h).  Two at a time come one after the other
// (folder_lock.h).
//
// Not taken: one folder per pair and a symbolic link that is changed, which would
// replace both in one step: the places are the configuration's.
#ifndef POPGATE_CERTS_INSTALL_H
#define POPGATE_CERTS_INSTALL_H

#include "proxy/base/text.h"

struct installation {
	const char *const *chain_paths; // new certificates, in any order and form
	size_t num_chain_paths;
	const char *key_path; // NULL: the key in place stays
	const char *to_chain, *to_key;
	const char *ca_path;       // NULL: AUTHORITIES_OF_SYSTEM
	const char *const *needed; // files that others use, which stay whatever is in them
	size_t num_needed;
	bool is_incomplete_allowed;
	int64_t now; // seconds since 1970
};

// What was done goes to *notes in lines.  False with the reason in *why when the key
// belongs to none of the certificates, one of the chain is not valid now or is
// missing, or a file cannot be read or written; then the old pair is as it was.
__attribute__((warn_unused_result)) bool install_pair(
    const struct installation *installation, struct text *notes, struct text *why);

#endif
