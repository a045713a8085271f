// maildir.c: reading a Maildir.  See maildir.h.
//
// A message that another program moves from new/ to cur/ while we list is seen
// twice, since new/ is read first, and never missed; the second sight of it is
// dropped.
#include "backends/store/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/die.h"

enum {
	UID_MAX = 70,          // RFC 1939 section 7
	FOLDER_LEN = 4,        // "new/" or "cur/"
	PIECE_SIZE = 64 * 1024 // read at a time
};

// The name that a message keeps when its flags (":2,S") change or it moves.
static struct str unique_name(const struct maildir_message *message)
{
	struct str name, flags;
	str_cut(str_of(message->path + FOLDER_LEN), ':', &name, &flags);
	return name;
}

// ---- sizes --------------------------------------------------------------

// A size that the program which delivered the message wrote into its name.
static bool size_from_name(const struct maildir_message *message, uint64_t *out_size)
{
	struct str field, rest = unique_name(message);
	while (str_cut(rest, ',', &field, &rest))
		if (str_starts_nocase(str_take(rest, str_find(rest, ',')), STR("W=")))
			return str_to_u64(
			    str_drop(str_take(rest, str_find(rest, ',')), 2), out_size);
	return false;
}

// How many bytes the line ends add; *last is the byte before the piece, and
// the last of it afterwards.
static uint64_t count_added(struct str piece, char *last)
{
	uint64_t added = 0;
	for (size_t lf; (lf = str_find(piece, '\n')) < piece.len; piece = str_drop(piece, lf + 1)) {
		added += (lf ? piece.at[lf - 1] : *last) != '\r';
		*last = '\n';
	}
	if (piece.len)
		*last = piece.at[piece.len - 1];
	return added;
}

static bool size_from_file(int fd, uint64_t *out_size)
{
	static char room[PIECE_SIZE];
	char last = '\n';
	uint64_t size = 0;
	ssize_t n;
	while ((n = read(fd, room, sizeof(room))) > 0)
		size += (size_t)n + count_added((struct str){room, (size_t)n}, &last);
	*out_size = size + (last == '\n' ? 0 : last == '\r' ? 1 : 2);
	return n == 0;
}

static bool measure(struct maildir *maildir, size_t index)
{
	struct maildir_message *message = &maildir->messages[index];
	if (size_from_name(message, &message->size))
		return true;
	int fd = maildir_open_message(maildir, index);
	if (fd < 0)
		return false;
	bool measured = size_from_file(fd, &message->size);
	close(fd);
	return measured;
}

// Messages that cannot be read, or are gone already, are left out.
static void measure_all(struct maildir *maildir)
{
	size_t kept = 0;
	for (size_t i = 0; i < maildir->num_messages; i++) {
		if (measure(maildir, i))
			maildir->messages[kept++] = maildir->messages[i];
		else
			free(maildir->messages[i].path);
	}
	maildir->num_messages = kept;
}

// ---- the list -----------------------------------------------------------

static void add_message(struct maildir *maildir, const char *folder, const char *name)
{
	if (maildir->num_messages == maildir->max_messages) {
		maildir->max_messages = maildir->max_messages ? 2 * maildir->max_messages : 16;
		maildir->messages =
		    xrealloc(maildir->messages, maildir->max_messages * sizeof(*maildir->messages));
	}
	size_t size = FOLDER_LEN + strlen(name) + 1;
	char *path = xmalloc(size);
	struct text text = text_in(path, size);
	text_addf(&text, "%s/%s", folder, name);
	maildir->messages[maildir->num_messages++] = (struct maildir_message){.path = path};
}

static bool list_folder(struct maildir *maildir, const char *folder, struct text *why)
{
	int fd = openat(maildir->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		text_addf(why, "its folder %s cannot be read: %s", folder, strerror(errno));
		return false;
	}
	const struct dirent *entry;
	while ((entry = readdir(dir)) && maildir->num_messages <= MAILDIR_MESSAGES_MAX)
		if (entry->d_name[0] != '.')
			add_message(maildir, folder, entry->d_name);
	closedir(dir);
	if (maildir->num_messages <= MAILDIR_MESSAGES_MAX)
		return true;
	text_addf(why,
	    "it holds more than %d messages, and this sample store shows no more; use a real one",
	    MAILDIR_MESSAGES_MAX);
	return false;
}

// Names begin with the time of delivery, and strverscmp compares numbers as
// such.
static int compare(const void *a, const void *b)
{
	const struct maildir_message *first = a, *second = b;
	int order = strverscmp(first->path + FOLDER_LEN, second->path + FOLDER_LEN);
	return order ? order : strcmp(first->path, second->path);
}

static void sort(struct maildir *maildir)
{
	size_t kept = 0;
	if (!maildir->num_messages)
		return;
	qsort(maildir->messages, maildir->num_messages, sizeof(*maildir->messages), compare);
	for (size_t i = 1; i < maildir->num_messages; i++) {
		struct maildir_message *last = &maildir->messages[kept];
		if (str_eq(unique_name(last), unique_name(&maildir->messages[i])))
			free(maildir->messages[i].path);
		else
			maildir->messages[++kept] = maildir->messages[i];
	}
	maildir->num_messages = kept + 1;
}

bool maildir_open(struct maildir *maildir, const char *path, struct text *why)
{
	*maildir = (struct maildir){.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (maildir->fd < 0) {
		text_addf(why, "it cannot be opened: %s", strerror(errno));
		*maildir = (struct maildir){0};
		return false;
	}
	if (!list_folder(maildir, "new", why) || !list_folder(maildir, "cur", why)) {
		maildir_close(maildir);
		return false;
	}
	sort(maildir);
	measure_all(maildir);
	return true;
}

void maildir_close(struct maildir *maildir)
{
	for (size_t i = 0; i < maildir->num_messages; i++)
		free(maildir->messages[i].path);
	free(maildir->messages);
	if (maildir->fd > 0)
		close(maildir->fd);
	*maildir = (struct maildir){0};
}

// ---- one message --------------------------------------------------------

int maildir_open_message(const struct maildir *maildir, size_t index)
{
	struct stat stat;
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(maildir->fd, maildir->messages[index].path, flags);
	if (fd < 0)
		return -1;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

static bool is_uid(struct str s)
{
	if (!s.len || s.len > UID_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] < 0x21 || s.at[i] > 0x7e)
			return false;
	return true;
}

// A name that POP3 does not allow is told by its FNV-1a hash.
static uint64_t hash(struct str s)
{
	uint64_t hash = 0xcbf29ce484222325;
	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)s.at[i]) * 0x100000001b3;
	return hash;
}

void maildir_print_uid(const struct maildir *maildir, size_t index, struct text *out)
{
	struct str name = unique_name(&maildir->messages[index]);
	if (is_uid(name))
		text_add(out, name);
	else
		text_addf(out, "%016llx", (unsigned long long)hash(name));
}

bool maildir_remove_deleted(struct maildir *maildir)
{
	bool removed = true;
	for (size_t i = 0; i < maildir->num_messages; i++) {
		const struct maildir_message *message = &maildir->messages[i];
		if (message->deleted && unlinkat(maildir->fd, message->path, 0) < 0)
			removed = false;
	}
	return removed;
}
