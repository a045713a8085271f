// folder_lock.c: locking folders.  See folder_lock.h.
//
// Not taken: waiting without an end, since whoever may read the folder may lock it.
#include "certs/folder_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct folder {
	char *path; // on the heap
	int fd;     // -1: it cannot be opened
	struct stat status;
};

static void open_folder(const char *place, struct folder *out)
{
	char *copy = str_dup(str_of(place));
	*out = (struct folder){.path = str_dup(str_of(dirname(copy)))};
	out->fd = open(out->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->fd >= 0 && fstat(out->fd, &out->status) < 0) {
		close(out->fd);
		out->fd = -1;
	}
	free(copy);
}

// Below 0, 0 (the same folder), above 0.
static int compare(const struct folder *a, const struct folder *b)
{
	const struct stat *one = &a->status, *other = &b->status;
	if (one->st_dev != other->st_dev)
		return one->st_dev < other->st_dev ? -1 : 1;
	return one->st_ino < other->st_ino ? -1 : one->st_ino > other->st_ino;
}

// 0, or why there is no lock.
static int wait_for(int fd)
{
	const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
	int error = EWOULDBLOCK;
	for (int i = 0; i < FOLDER_LOCK_WAIT_S * 50 && error == EWOULDBLOCK; i++) {
		if (i)
			nanosleep(&moment, NULL);
		error = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
	}
	return error;
}

static bool take(struct folder_lock *lock, const struct folder *folder, struct text *why)
{
	if (folder->fd < 0)
		return true;
	lock->fds[lock->num++] = folder->fd;
	int error = !text_is_empty(why) ? 0 : wait_for(folder->fd);
	lock->is_held &= !error;
	if (error == EWOULDBLOCK) {
		text_addf(why,
		    "another process is at work in the folder %s; let it finish, or see which one "
		    "that is (fuser -v ",
		    folder->path);
		text_add_shell_word(why, str_of(folder->path));
		text_add(why, STR("), and do this again"));
	}
	return error != EWOULDBLOCK;
}

// Always in the same order, so that no two wait for each other.
bool folder_lock_take(
    struct folder_lock *lock, const char *place, const char *other_place, struct text *why)
{
	struct folder first, second;
	*lock = (struct folder_lock){.is_held = true};
	open_folder(place, &first);
	open_folder(other_place, &second);
	if (first.fd >= 0 && second.fd >= 0 && compare(&first, &second) == 0) {
		close(second.fd);
		second.fd = -1;
	}
	bool is_turned = compare(&first, &second) > 0;
	bool taken = take(lock, is_turned ? &second : &first, why);
	taken &= take(lock, is_turned ? &first : &second, why);
	free(first.path);
	free(second.path);
	return taken;
}

void folder_lock_done(struct folder_lock *lock)
{
	for (size_t i = 0; i < lock->num; i++)
		close(lock->fds[i]);
	lock->num = 0;
}
