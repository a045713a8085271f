// input.c: reading a file whole.  See input.h.
#include "certs/input.h"

#include <errno.h>
#include <stdio.h>

#include "proxy/base/file.h"

static bool read_pieces(FILE *file, struct buf *out)
{
	char piece[4096];
	size_t n;
	bool fits = true;
	while (fits && (n = fread(piece, 1, sizeof(piece), file)) > 0)
		fits = buf_add(out, (struct str){piece, n}, INPUT_MAX);
	explicit_bzero(piece, sizeof(piece));
	return fits;
}

bool input_read(const char *path, const char *what, struct buf *out, struct text *why)
{
	FILE *file = file_open(path);
	if (!file) {
		text_addf(why, "cannot read the %s %s: %s", what, path, file_problem());
		return false;
	}
	setvbuf(file, NULL, _IONBF, 0);
	bool fits = read_pieces(file, out);
	if (ferror(file))
		text_addf(why, "cannot read the %s %s: %s", what, path, strerror(errno));
	else if (!fits)
		text_addf(why, "the %s %s is larger than 1 MiB; name the right file", what, path);
	else if (!buf_len(out))
		text_addf(why, "the %s %s is empty", what, path);
	fclose(file);
	return !why->len;
}
