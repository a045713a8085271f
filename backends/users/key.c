// key.c: the key file.  See key.h.
#include "backends/users/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/users/hex.h"
#include "proxy/base/file.h"

enum { LINE = 2 * USERS_KEY_SIZE + 1 };

static bool read_key(
    FILE *file, const char *path, uint8_t out_key[USERS_KEY_SIZE], struct text *why)
{
	char line[LINE + 1]; // one more tells a file that is too long
	size_t len = fread(line, 1, sizeof(line), file);
	struct str digits = {line, len};
	if (digits.len && digits.at[digits.len - 1] == '\n')
		digits.len--;
	bool sound = !ferror(file) && hex_read(digits, out_key, USERS_KEY_SIZE);
	explicit_bzero(line, sizeof(line));
	if (!sound)
		text_addf(why,
		    "the key file %s holds no key, which is one line of %d hexadecimal digits; "
		    "put a copy of the right one back",
		    path, 2 * USERS_KEY_SIZE);
	return sound;
}

bool users_key_load(const char *path, uint8_t out_key[USERS_KEY_SIZE], struct text *why)
{
	FILE *file = file_open(path);
	if (!file) {
		text_addf(why, "cannot read the key file %s: %s", path, file_problem());
		return false;
	}
	setvbuf(file, NULL, _IONBF, 0); // no copy of the key that nobody wipes
	bool loaded = file_is_private(file, path, why) && read_key(file, path, out_key, why);
	fclose(file);
	return loaded;
}

static bool write_key(int fd)
{
	uint8_t key[USERS_KEY_SIZE];
	char line[LINE + 1];
	struct text text = TEXT(line);
	RAND_bytes(key, sizeof(key));
	hex_add(&text, key, sizeof(key));
	text_add_char(&text, '\n');
	bool written = write(fd, line, LINE) == LINE && fsync(fd) == 0;
	explicit_bzero(key, sizeof(key));
	explicit_bzero(line, sizeof(line));
	return written;
}

bool users_key_make(const char *path, struct text *why)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
	bool made = fd >= 0 && write_key(fd);
	if (!made)
		text_addf(why, "cannot make the key file %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && !made)
		unlink(path);
	return made;
}
