// draft.c: writing files whole.  See draft.h.
//
// Not taken: O_TMPFILE, which network file systems lack, and which cannot be
// renamed over a file that is there.
#include "certs/draft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "proxy/base/file.h"

// What nobody else names a file.
#define ENDING ".popgate-draft-"

static bool complain(const char *place, struct text *why)
{
	const char *next = errno == EACCES || errno == EPERM || errno == EROFS
	                       ? "; do it as root, or name another folder"
	                   : errno == ENOSPC || errno == EDQUOT || errno == EFBIG
	                       ? "; make room there, or name another folder"
	                   : errno == ENOENT ? "; make the folder first"
	                                     : "";
	text_addf(why, "cannot write %s: %s%s", place, strerror(errno), next);
	return false;
}

// -1 with the reason in *why.
static int open_draft(struct draft *draft, const char *place, struct text *why)
{
	struct text path = TEXT(draft->path);
	draft->place = place;
	text_addf(&path, "%s" ENDING "XXXXXX", place);
	int fd = path.truncated ? -1 : mkostemp(draft->path, O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (path.truncated)
		errno = ENAMETOOLONG;
	draft->path[0] = '\0';
	complain(place, why);
	return -1;
}

bool draft_write(struct draft *draft, const char *place, struct str bytes, struct text *why)
{
	int fd = open_draft(draft, place, why);
	if (fd < 0)
		return false;
	bool written = (file_write(fd, bytes) && fsync(fd) == 0) || complain(place, why);
	close(fd);
	return written;
}

// By sendfile(2), so that no copy of a key is left in memory.
static bool copy(int from, int to)
{
	enum { PIECE = 1024 * 1024 };
	ssize_t copied;
	do
		copied = sendfile(to, from, NULL, PIECE);
	while (copied > 0 || (copied < 0 && errno == EINTR));
	return copied == 0 && fsync(to) == 0;
}

bool draft_copy(struct draft *draft, const char *place, const char *from_path, struct text *why)
{
	int from = file_open_descriptor(from_path);
	if (from < 0) {
		text_addf(why, "cannot read %s: %s; do it as root", from_path, file_problem());
		return false;
	}
	int to = open_draft(draft, place, why);
	bool copied = to >= 0 && (copy(from, to) || complain(place, why));
	if (to >= 0)
		close(to);
	close(from);
	return copied;
}

// Who is not root keeps the file as the one who made it.
bool draft_allow(struct draft *draft, const struct stat *like, struct text *why)
{
	bool owned = chown(draft->path, like->st_uid, like->st_gid) == 0 || errno == EPERM;
	return (owned && chmod(draft->path, like->st_mode & 0777) == 0) ||
	       complain(draft->place, why);
}

bool draft_place(struct draft *draft, struct text *why)
{
	if (link(draft->path, draft->place) < 0) {
		if (errno != EEXIST)
			return complain(draft->place, why);
		text_addf(why,
		    "there is a file %s already, which is never written over; name another one, "
		    "or move it away",
		    draft->place);
		return false;
	}
	bool synced = draft_sync_folder(draft->place, why);
	if (!synced)
		unlink(draft->place);
	draft_done(draft);
	return synced;
}

bool draft_replace(struct draft *draft, struct text *why)
{
	if (rename(draft->path, draft->place) < 0)
		return complain(draft->place, why);
	draft->path[0] = '\0';
	return true;
}

void draft_done(struct draft *draft)
{
	if (draft->path[0])
		unlink(draft->path);
	draft->path[0] = '\0';
}

static bool is_draft_of(struct str base, struct str name)
{
	struct str rest = str_drop(name, base.len), random = str_drop(rest, sizeof(ENDING) - 1);
	return str_eq(str_take(name, base.len), base) &&
	       str_eq(str_take(rest, sizeof(ENDING) - 1), STR(ENDING)) && random.len == 6;
}

static void sweep(DIR *folder, struct str base, const char *place, struct text *notes)
{
	const struct dirent *entry;
	struct stat status;
	while ((entry = readdir(folder))) {
		struct str name = str_of(entry->d_name);
		if (is_draft_of(base, name) &&
		    fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(status.st_mode) && unlinkat(dirfd(folder), entry->d_name, 0) == 0)
			text_addf(notes, "removed, an interrupted run had left it: %s%.*s\n", place,
			    STR_ARG(str_drop(name, base.len)));
	}
}

void draft_sweep(const char *place, struct text *notes)
{
	char *folder_copy = str_dup(str_of(place)), *base_copy = str_dup(str_of(place));
	DIR *folder = opendir(dirname(folder_copy));
	if (folder) {
		sweep(folder, str_of(basename(base_copy)), place, notes);
		closedir(folder);
	}
	free(folder_copy);
	free(base_copy);
}

bool draft_sync_folder(const char *place, struct text *why)
{
	char *copy = str_dup(str_of(place));
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	// Some file systems cannot, and then need not.
	bool synced = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
	if (!synced)
		complain(place, why);
	if (fd >= 0)
		close(fd);
	free(copy);
	return synced;
}
