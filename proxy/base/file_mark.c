// file_mark.c: see file_mark.h.
#include "proxy/base/file_mark.h"

#include <sys/stat.h>

struct file_mark file_mark_of(const char *path)
{
	struct stat status;
	if (stat(path, &status) < 0)
		return (struct file_mark){0};
	return (struct file_mark){
	    .device = status.st_dev,
	    .inode = status.st_ino,
	    .size = status.st_size,
	    .changed = status.st_ctim,
	};
}

bool file_mark_is_same_file(const struct file_mark *a, const struct file_mark *b)
{
	return a->device == b->device && a->inode == b->inode;
}

bool file_mark_is_unchanged(const struct file_mark *a, const struct file_mark *b)
{
	return file_mark_is_same_file(a, b) && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}
