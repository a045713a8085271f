// client_trust_files.c: from the files of client_ca and client_crl to a sealed memfd, and
// from that to what clients are judged by.  See client_trust.h.
//
// One way for all: the supervisor too judges by what the memfd holds.
#include "certs/client_trust_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "proxy/base/die.h"
#include "proxy/base/file.h"

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

// Bytes of a file at most.  Large authorities revoke hundreds of thousands.
static const size_t sizes_max[CLIENT_FILES] = {
    [CLIENT_FILE_ca] = 1024 * 1024,
    [CLIENT_FILE_crl] = 64 * 1024 * 1024,
};

// What the memfd begins with; the texts of the files follow.
struct head {
	uint64_t magic;
	uint64_t slot;
	uint64_t sizes[CLIENT_FILES];
};

static const uint64_t magic = 0x3176747265696c63;

// ---- out of the memfd ---------------------------------------------------

// By lseek(2), since a worker's filter has no fstat(2).
static bool measure(int fd, size_t *out_size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	off_t end = lseek(fd, 0, SEEK_END);
	*out_size = end < 0 ? 0 : (size_t)end;
	return seals >= 0 && (seals & SEALS) == SEALS && *out_size >= sizeof(struct head);
}

static bool is_sound(const struct head *head, size_t size)
{
	size_t room = size - sizeof(*head);
	return head->magic == magic && head->slot <= UINT32_MAX &&
	       head->sizes[CLIENT_FILE_ca] <= room &&
	       head->sizes[CLIENT_FILE_crl] == room - head->sizes[CLIENT_FILE_ca];
}

// The places are for people.
static struct client_trust *open_at(
    int fd, const struct head *head, size_t size, struct client_pem *pem, struct text *why)
{
	struct client_trust *trust = xcalloc(1, sizeof(*trust));
	const char *at = (const char *)(head + 1);
	trust->fd = fd;
	trust->slot = (uint32_t)head->slot;
	SHA256((const uint8_t *)head, size, trust->id);
	for (enum client_file_kind kind = 0; kind < CLIENT_FILES; kind++) {
		size_t len = head->sizes[kind];
		pem->texts[kind] = len ? (struct str){at, len} : (struct str){0};
		at += len;
	}
	if (!client_trust_take(trust, pem, why))
		client_trust_free(&trust);
	return trust;
}

static struct client_trust *open_as(int fd, struct client_pem *pem, struct text *why)
{
	struct client_trust *trust = NULL;
	size_t size;
	bool is_whole = measure(fd, &size);
	struct head *head = is_whole ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (head == MAP_FAILED || !is_sound(head, size)) {
		text_add(why, STR("what came are no authorities of clients"));
		close(fd);
	} else {
		trust = open_at(fd, head, size, pem, why);
	}
	if (head != MAP_FAILED)
		munmap(head, size);
	return trust;
}

struct client_trust *client_trust_open(int fd, struct text *why)
{
	struct client_pem pem = {.places = {"client_ca", "client_crl"}};
	return open_as(fd, &pem, why);
}

uint32_t client_trust_slot(const struct client_trust *trust)
{
	return trust->slot;
}

int client_trust_fd(const struct client_trust *trust)
{
	return trust->fd;
}

struct str client_trust_id(const struct client_trust *trust)
{
	return (struct str){(const char *)trust->id, sizeof(trust->id)};
}

// ---- into the memfd -----------------------------------------------------

static bool copy(FILE *file, int fd, size_t max, uint64_t *out_size)
{
	char piece[16 * 1024];
	size_t n;
	*out_size = 0;
	while (*out_size <= max && (n = fread(piece, 1, sizeof(piece), file)) > 0) {
		*out_size += n;
		if (!file_write(fd, (struct str){piece, n}))
			return false;
	}
	return !ferror(file);
}

static bool add_file(
    int fd, enum client_file_kind kind, const char *path, uint64_t *out_size, struct text *why)
{
	FILE *file = file_open(path);
	if (!file) {
		text_addf(why, "cannot read %s: %s", path, file_problem());
		return false;
	}
	if (!copy(file, fd, sizes_max[kind], out_size))
		text_addf(why, "cannot read %s: %s", path, strerror(errno));
	else if (!*out_size)
		text_addf(why, "%s is empty", path);
	else if (*out_size > sizes_max[kind])
		text_addf(why, "%s is larger than %zu bytes", path, sizes_max[kind]);
	fclose(file);
	return text_is_empty(why);
}

static bool fill(int fd, char *const *paths, uint32_t slot, struct text *why)
{
	struct head head = {magic, slot, {0}};
	if (!file_write(fd, (struct str){(const char *)&head, sizeof(head)}))
		text_addf(why, "cannot get shared memory: %s", strerror(errno));
	for (enum client_file_kind kind = 0; text_is_empty(why) && kind < CLIENT_FILES; kind++)
		if (*paths[kind])
			add_file(fd, kind, paths[kind], &head.sizes[kind], why);
	if (text_is_empty(why) && (pwrite(fd, &head, sizeof(head), 0) != sizeof(head) ||
	                              fcntl(fd, F_ADD_SEALS, SEALS) < 0))
		text_addf(why, "cannot seal shared memory: %s", strerror(errno));
	return text_is_empty(why);
}

// ---- the files ----------------------------------------------------------

// No path: no file.
static struct client_files look(char *const *paths)
{
	struct client_files files = {.each = {{0}}};
	for (enum client_file_kind kind = 0; kind < CLIENT_FILES; kind++)
		if (*paths[kind])
			files.each[kind] = file_mark_of(paths[kind]);
	return files;
}

static bool same(const struct client_files *a, const struct client_files *b)
{
	for (enum client_file_kind kind = 0; kind < CLIENT_FILES; kind++)
		if (!file_mark_is_unchanged(&a->each[kind], &b->each[kind]))
			return false;
	return true;
}

static struct client_trust *read_files(char *const *paths, uint32_t slot, struct text *why)
{
	struct client_pem pem = {.places = {paths[CLIENT_FILE_ca], paths[CLIENT_FILE_crl]}};
	int fd = memfd_create("popgate-clients", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		text_addf(why, "cannot get shared memory: %s", strerror(errno));
	else if (fill(fd, paths, slot, why))
		return open_as(fd, &pem, why);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void keep_paths(struct client_trust *trust, char *const *paths)
{
	for (enum client_file_kind kind = 0; kind < CLIENT_FILES; kind++)
		trust->paths[kind] = str_dup(str_of(paths[kind]));
}

static struct client_trust *load(
    char *const *paths, uint32_t slot, const struct client_files *looked, struct text *why)
{
	struct client_trust *trust = read_files(paths, slot, why);
	if (!trust)
		return NULL;
	keep_paths(trust, paths);
	trust->judged = trust->seen = *looked;
	return trust;
}

struct client_trust *client_trust_load(
    const char *ca_path, const char *crl_path, uint32_t slot, struct text *why)
{
	char *paths[CLIENT_FILES] = {(char *)ca_path, (char *)crl_path};
	struct client_files looked = look(paths);
	return load(paths, slot, &looked, why);
}

// Files that change while they are read are not judged.
static enum client_trust_news judge(
    struct client_trust **trust, const struct client_files *looked, struct text *why)
{
	struct client_trust *old = *trust, *new = load(old->paths, old->slot, looked, why);
	struct client_files after = look(old->paths);
	if (!same(looked, &after)) {
		client_trust_free(&new);
		old->seen = after;
		*why = text_in(why->at, why->cap);
		return CLIENT_TRUST_SAME;
	}
	old->judged = after;
	if (new && !client_trust_is_current(new, why))
		client_trust_free(&new);
	if (!new)
		return CLIENT_TRUST_REFUSED;
	client_trust_free(trust);
	*trust = new;
	return CLIENT_TRUST_REPLACED;
}

static enum client_trust_news check_lists(struct client_trust *trust, struct text *why)
{
	if (trust->is_told || client_trust_is_current(trust, why))
		return CLIENT_TRUST_SAME;
	trust->is_told = true;
	return CLIENT_TRUST_EXPIRED;
}

enum client_trust_news client_trust_refresh(struct client_trust **trust, struct text *why)
{
	struct client_trust *old = *trust;
	struct client_files now = look(old->paths);
	bool rests = same(&now, &old->seen);
	old->seen = now;
	if (!rests || same(&now, &old->judged))
		return check_lists(old, why);
	return judge(trust, &now, why);
}
