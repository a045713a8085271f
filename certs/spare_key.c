// spare_key.c: a copy of a key.  See spare_key.h.
#include "certs/spare_key.h"

void spare_key_look(struct spare_key *key, const char *path)
{
	key->path = path;
	if (!path || lstat(path, &key->status) < 0)
		key->status = (struct stat){.st_nlink = 0};
}

static bool is_one(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool spare_key_is_needless(
    const struct spare_key *key, const char *const *needed, size_t num_needed)
{
	struct stat now, other;
	if (!key->status.st_nlink || lstat(key->path, &now) < 0 || !is_one(&now, &key->status) ||
	    !S_ISREG(now.st_mode) || now.st_nlink != 1)
		return false;
	for (size_t i = 0; i < num_needed; i++)
		if (stat(needed[i], &other) == 0 && is_one(&now, &other))
			return false;
	return true;
}
