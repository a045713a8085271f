// mapping.h: memory that all processes of popgate share: a memfd of a fixed size.
//
// Used by limits.c, ledger.c and host_answers.c, each for pages of its own.  Made
// by the supervisor, inherited by workers, handed over the supervisor's execv by
// its descriptor.  Who reads pages that another version made must not misread
// them: they begin with a number for what they are and how they are laid out.
#ifndef POPGATE_POLICY_MAPPING_H
#define POPGATE_POLICY_MAPPING_H

#include "policy/key.h"

// What pages begin with.
struct mapping_head {
	uint64_t magic;
	struct key_secret secret; // random, drawn when they were made
};

// A mapping; the zero state is none.
struct mapping {
	int fd;
	struct mapping_head *at;
	size_t size;
};

// Makes pages, all zero behind their head.  False with errno set when the
// kernel refuses.
__attribute__((warn_unused_result)) bool mapping_new(
    struct mapping *out_mapping, const char *name, uint64_t magic, size_t size);

// Maps pages that were made before.  False when fd holds none of this magic
// and size; it is the caller's then.
__attribute__((warn_unused_result)) bool mapping_open(
    struct mapping *out_mapping, int fd, uint64_t magic, size_t size);

// Unmaps them and closes the descriptor.
void mapping_done(struct mapping *mapping);

#endif
