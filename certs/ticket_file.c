// ticket_file.c: see ticket_file.h.
#include "certs/ticket_file.h"

#include <errno.h>
#include <openssl/base64.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <stdio.h>

#include "proxy/base/die.h"
#include "proxy/base/file.h"

enum {
	SHORT_KEY = 48,
	LONG_KEY = 80,
	DECODED_MAX = 96,
	LINE_MAX_TEXT = DECODED_MAX / 3 * 4,
	FILE_MAX = 8 * 1024,
};

static struct ticket_key derive(const uint8_t *secret, size_t len)
{
	static const uint8_t purpose[] = "popgate session ticket key, version 1";
	struct ticket_key key;
	BUG_ON(!HKDF((uint8_t *)&key, sizeof(key), EVP_sha256(), secret, len, NULL, 0, purpose,
	    sizeof(purpose) - 1));
	return key;
}

static bool take_key(struct ticket_file *file, struct str line)
{
	uint8_t secret[DECODED_MAX];
	size_t len = 0;
	bool sound =
	    line.len <= LINE_MAX_TEXT &&
	    EVP_DecodeBase64(secret, &len, sizeof(secret), (const uint8_t *)line.at, line.len) &&
	    (len == SHORT_KEY || len == LONG_KEY);
	if (sound)
		file->keys[file->num_keys++] = derive(secret, len);
	explicit_bzero(secret, sizeof(secret));
	return sound;
}

static bool take_line(
    struct ticket_file *file, const char *path, unsigned number, struct str line, struct text *why)
{
	line = str_trim(line);
	if (str_is_empty(line) || line.at[0] == '#')
		return true;
	if (file->num_keys == TICKET_FILE_KEYS_MAX)
		text_addf(why, "%s holds more than %d keys; take out the oldest", path,
		    TICKET_FILE_KEYS_MAX);
	else if (!take_key(file, line))
		text_addf(why,
		    "line %u of %s is no key, which is 48 or 80 bytes in base64 without a line "
		    "break; `openssl rand -base64 48` makes one",
		    number, path);
	return text_is_empty(why);
}

// A last line without an end may be one that is still being written.
static bool take_lines(
    struct ticket_file *file, const char *path, struct str rest, struct text *why)
{
	struct str line;
	for (unsigned number = 1; !str_is_empty(rest); number++) {
		if (!str_cut(rest, '\n', &line, &rest)) {
			text_addf(why, "line %u of %s has no end; the file is not complete", number,
			    path);
			return false;
		}
		if (!take_line(file, path, number, line, why))
			return false;
	}
	if (!file->num_keys)
		text_addf(why, "%s holds no key; `openssl rand -base64 48` makes one", path);
	return file->num_keys;
}

static bool take_file(struct ticket_file *file, FILE *from, const char *path, struct text *why)
{
	char room[FILE_MAX + 1]; // one more tells a file that is too long
	size_t len = fread(room, 1, sizeof(room), from);
	bool sound = false;
	if (ferror(from))
		text_addf(why, "cannot read the key file %s: %s", path, strerror(errno));
	else if (len > FILE_MAX)
		text_addf(why, "%s is too large for a file of ticket keys", path);
	else
		sound = take_lines(file, path, (struct str){room, len}, why);
	explicit_bzero(room, sizeof(room));
	return sound;
}

bool ticket_file_load(const char *path, struct ticket_file *out_file, struct text *why)
{
	*out_file = (struct ticket_file){.num_keys = 0};
	FILE *file = file_open(path);
	if (!file) {
		text_addf(why, "cannot read the key file %s: %s%s", path, file_problem(),
		    errno == ENOENT ? "; `openssl rand -base64 48` prints a key for it" : "");
		return false;
	}
	setvbuf(file, NULL, _IONBF, 0); // no copy of the keys that nobody wipes
	bool loaded = file_is_private(file, path, why) && take_file(out_file, file, path, why);
	fclose(file);
	return loaded;
}
