// kept.h: the pair of before, which `popgate cert install` keeps beside the one in place.
//
// Called by whoever cannot use the pair in place at a start, a reload or a check.  It may
// be half of another after a power cut between the two renames of an install; and the
// watcher, which passes over such a pair, is of no help then.
#ifndef POPGATE_CERTS_KEPT_H
#define POPGATE_CERTS_KEPT_H

#include "proxy/base/text.h"

// Behind the names of a pair that fits, and of one that does not.
#define KEPT_OLD ".old"
#define KEPT_UNFIT ".unfit"

// Adds the command that brings the old pair back: nothing when there is none, or it has
// expired, or we may not read the pair in place.  No private key is read, since that is not
// everybody's to do: what has the name fits, and lasts through a crash before either file in place
// is replaced (install.c).
void kept_print_way_back(const char *chain_path, const char *key_path, struct text *out);

#endif
