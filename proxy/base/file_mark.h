// file_mark.h: what a file looks like from outside: whether it is another one now,
// or has changed.
//
// Used for whatever the supervisor looks at again and again.
#ifndef POPGATE_PROXY_BASE_FILE_MARK_H
#define POPGATE_PROXY_BASE_FILE_MARK_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

// What a file was when it was looked at; the zero state: there was none.
struct file_mark {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

// Links are followed.
struct file_mark file_mark_of(const char *path);

bool file_mark_is_same_file(const struct file_mark *a, const struct file_mark *b);
bool file_mark_is_unchanged(const struct file_mark *a, const struct file_mark *b);

#endif
