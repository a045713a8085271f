// spare_key.h: whether the file that a key was installed from is needed no more.
//
// Called by install.c.  Only of a file that surely is a copy nobody uses it is said that it
// can go: the advice to remove the only copy of a key cannot be taken back.
#ifndef POPGATE_CERTS_SPARE_KEY_H
#define POPGATE_CERTS_SPARE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct spare_key {
	const char *path;   // the caller's
	struct stat status; // st_nlink 0: there is none
};

// Remembers which file that was, before anything is installed; NULL is none.
void spare_key_look(struct spare_key *key, const char *path);

// Whether it still is that file, has no other name, and is none of those needed, by
// whatever path they are reached.
bool spare_key_is_needless(
    const struct spare_key *key, const char *const *needed, size_t num_needed);

#endif
