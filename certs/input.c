// input.c: reading a file whole.  See input.h.
#include "certs/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/file.h"

// By read(2): stdio would leave a copy behind.  1 when all is read, 0 when it is too
// large, -1 with errno set.
static int read_pieces(int fd, struct buf *out)
{
	char piece[4096];
	ssize_t n;
	bool fits = true;
	while (fits && (n = pread(fd, piece, sizeof(piece), (off_t)buf_len(out))) != 0)
		if (n > 0)
			fits = buf_add(out, (struct str){piece, (size_t)n}, INPUT_MAX);
		else if (errno != EINTR)
			return -1;
	explicit_bzero(piece, sizeof(piece));
	return fits;
}

bool input_read_descriptor(
    int fd, const char *path, const char *what, struct buf *out, struct text *why)
{
	int status = read_pieces(fd, out);
	if (status < 0)
		text_addf(why, "cannot read the %s %s: %s", what, path, strerror(errno));
	else if (!status)
		text_addf(why, "the %s %s is larger than 1 MiB; name the right file", what, path);
	else if (!buf_len(out))
		text_addf(why, "the %s %s is empty; name the right file", what, path);
	return text_is_empty(why);
}

bool input_read(const char *path, const char *what, struct buf *out, struct text *why)
{
	int fd = file_open_descriptor(path);
	if (fd < 0) {
		text_addf(
		    why, "cannot read the %s %s: %s%s", what, path, file_problem(), file_remedy());
		return false;
	}
	bool read = input_read_descriptor(fd, path, what, out, why);
	close(fd);
	return read;
}
