// file.c: opening and writing files.  See file.h.
#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Which open(2) does not give for reading.
enum { NOT_ORDINARY = ENOTSUP };

int file_open_descriptor(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
		return fd;
	close(fd);
	errno = S_ISDIR(status.st_mode) ? EISDIR : NOT_ORDINARY;
	return -1;
}

FILE *file_open(const char *path)
{
	int fd = file_open_descriptor(path);
	return fd < 0 ? NULL : fdopen(fd, "r");
}

const char *file_problem(void)
{
	return errno == NOT_ORDINARY ? "it is no ordinary file" : strerror(errno);
}

static const struct {
	int error;
	const char *remedy;
} remedies[] = {
    {ENOENT, "; see whether its name is right"},
    {ENOTDIR, "; see whether its name is right"},
    {EACCES, "; do it as root, or let this user read it"},
    {EISDIR, "; name an ordinary file"},
    {NOT_ORDINARY, "; name an ordinary file"},
};

const char *file_remedy(void)
{
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (errno == remedies[i].error)
			return remedies[i].remedy;
	return "";
}

bool file_is_private(FILE *file, const char *path, struct text *why)
{
	struct stat status;
	if (fstat(fileno(file), &status) < 0) {
		text_addf(why, "cannot read the key file %s: %s", path, strerror(errno));
		return false;
	}
	if (status.st_uid != 0 && status.st_uid != geteuid())
		text_addf(why,
		    "the key file %s belongs to another user, who can read it; as root: "
		    "chown root ",
		    path);
	else if (status.st_mode & (S_IRWXG | S_IRWXO))
		text_addf(why,
		    "the key file %s can be read or written by others than its owner; do: "
		    "chmod 600 ",
		    path);
	else
		return true;
	text_add_shell_word(why, str_of(path));
	return false;
}

bool file_write(int fd, struct str bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.at, bytes.len);
		if (n < 0 && errno != EINTR)
			return false;
		bytes = str_drop(bytes, n > 0 ? (size_t)n : 0);
	}
	return true;
}
