// database.c: LMDB.  See database.h.
#include "backends/users/database.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/die.h"

// Processes that may have it open: the workers of a few generations.
enum { READERS_MAX = 1024 };

struct database {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *look;   // kept between looks
	MDB_txn *change; // NULL: none under way
	int fd;          // of the file; the environment's
	off_t size;      // the largest that the file has been; it never shrinks
};

// In words what can be done about.
static const struct {
	int code;
	const char *why;
} problems[] = {
    {MDB_INVALID, "it is no database of users, or damaged; move it away and put a copy in its "
                  "place, or import the users into a new one"},
    {MDB_VERSION_MISMATCH, "another version of LMDB made it; export the users there and import "
                           "them here"},
    {MDB_CORRUPTED, "it is damaged; move it away and put a copy in its place"},
    {MDB_PAGE_NOTFOUND, "it is damaged; move it away and put a copy in its place"},
    {MDB_MAP_FULL, "it is full; nothing was changed. Remove users, or export them and import "
                   "them into a new one"},
    {MDB_READERS_FULL, "too many processes have it open; stop popgate and start it again"},
    {MDB_MAP_RESIZED, "it is larger than popgate makes one; move it away and import the users "
                      "into a new one"},
    {ESTALE, "it was put in the place of another; reload popgate, or run `popgate user list`, as "
             "root"},
    {ENOSPC, "the disk is full; nothing was changed"},
    {EDQUOT, "the disk quota is used up; nothing was changed"},
    {EFBIG, "the file may not grow any more (see ulimit -f); nothing was changed"},
    {EIO, "the disk is full or fails; nothing was changed"},
    {EBADMSG, "the lock file beside it is damaged; stop popgate and `popgate user`, remove that "
              "file, and start popgate again"},
};

static char *join(const char *path, const char *ending)
{
	size_t size = strlen(path) + strlen(ending) + 1;
	struct text text = text_in(xmalloc(size), size);
	text_addf(&text, "%s%s", path, ending);
	return text.at;
}

static const char *problem_of(int code)
{
	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		if (problems[i].code == code)
			return problems[i].why;
	return mdb_strerror(code);
}

static bool report(int code, const char **why)
{
	if (code)
		*why = problem_of(code);
	return !code;
}

// ---- files --------------------------------------------------------------

// What LMDB does not look at behind its part of the lock file: whose that is.  The
// number of the file is enough, both lie in one folder.
struct owner {
	char magic[8];
	uint64_t inode;
};

enum { LOCK_SIZE = 64 * (2 * READERS_MAX) }; // more than LMDB wants; a slot has 64 bytes

static const char owner_magic[8] = "popgate";

// Makes an empty file with the rights that readers need.  -1 with errno, which is
// EEXIST when it is there.
static int make_file(const char *path, const struct database_place *place, mode_t group_mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
	bool shared = fd < 0 || !place->is_shared ||
	              (fchown(fd, (uid_t)-1, place->group) == 0 &&
	                  fchmod(fd, S_IRUSR | S_IWUSR | group_mode) == 0);
	if (shared)
		return fd;
	close(fd);
	unlink(path);
	return -1;
}

static bool write_owner(int fd, uint64_t inode)
{
	struct owner owner = {.inode = inode};
	memcpy(owner.magic, owner_magic, sizeof(owner.magic));
	return pwrite(fd, &owner, sizeof(owner), LOCK_SIZE) == sizeof(owner);
}

// Readers write to it in place, where a full disk would be their end.
static bool allot(int fd)
{
	errno = posix_fallocate(fd, 0, LOCK_SIZE);
	return errno == 0;
}

// Under another name first, so that nobody sees it unfinished.
static int make_lock(const char *lock, const struct database_place *place, uint64_t inode)
{
	char *unfinished = join(lock, ".new");
	unlink(unfinished);
	int fd = make_file(unfinished, place, S_IRGRP | S_IWGRP);
	bool made = fd >= 0 && allot(fd) && write_owner(fd, inode) && link(unfinished, lock) == 0;
	int code = made ? 0 : errno;
	if (fd >= 0) {
		close(fd);
		unlink(unfinished);
	}
	free(unfinished);
	return code;
}

static bool is_own_lock(int fd, uint64_t inode)
{
	struct owner owner;
	return pread(fd, &owner, sizeof(owner), LOCK_SIZE) == sizeof(owner) &&
	       memcmp(owner.magic, owner_magic, sizeof(owner.magic)) == 0 && owner.inode == inode;
}

// LMDB makes a lock file anew that no process holds, and would follow any count of
// readers of one that is held, out of its memory.  Whoever is of the workers' group can
// write there.
struct lock_head {
	uint32_t magic, format;
	pthread_mutex_t readers_mutex;
	uint64_t transaction;
	uint32_t num_readers;
};

static bool is_held(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	return fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

static bool is_sane(int fd)
{
	struct lock_head head;
	return !is_held(fd) || (pread(fd, &head, sizeof(head), 0) == sizeof(head) &&
	                           head.num_readers <= READERS_MAX);
}

// 0 when it is there and this file's, EBADMSG when it is but is damaged, ENOENT when it is not,
// ESTALE when it is another's.
static int check_lock(const char *lock, uint64_t inode)
{
	int fd = open(lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno;
	int code = !is_own_lock(fd, inode) ? ESTALE : is_sane(fd) ? 0 : EBADMSG;
	close(fd);
	return code;
}

// Those who use the lock of another file go on with it; it has no name any more.
static int replace_lock(const char *lock, const struct database_place *place, uint64_t inode)
{
	int code = check_lock(lock, inode);
	if (code == ESTALE && unlink(lock) == 0)
		code = ENOENT;
	return code == ENOENT ? make_lock(lock, place, inode) : code;
}

// Sees to it that there is a lock file and that it is this file's; one process at
// a time, so that none removes what another has just made.
static int prepare_lock(const char *lock, const struct database_place *place, uint64_t inode)
{
	int code = check_lock(lock, inode);
	if (code != ENOENT && code != ESTALE)
		return code;
	int fd = open(place->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	code = flock(fd, LOCK_EX) < 0 ? errno : replace_lock(lock, place, inode);
	close(fd);
	return code;
}

static int prepare_files(
    const struct database_place *place, const char *lock, enum database_use use)
{
	struct stat status;
	int fd = use == DATABASE_MAKE ? make_file(place->path, place, S_IRGRP) : -1;
	if (fd >= 0)
		close(fd);
	else if (use == DATABASE_MAKE && errno != EEXIST)
		return errno;
	return stat(place->path, &status) < 0 ? errno : prepare_lock(lock, place, status.st_ino);
}

// ---- opening ------------------------------------------------------------

static int open_environment(
    struct database *database, const struct database_place *place, enum database_use use)
{
	const unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD;
	int code = mdb_env_create(&database->env);
	if (!code)
		code = mdb_env_set_mapsize(database->env, place->size_max);
	if (!code)
		code = mdb_env_set_maxreaders(database->env, READERS_MAX);
	if (!code)
		code = mdb_env_open(database->env, place->path,
		    use == DATABASE_READ ? flags | MDB_RDONLY : flags, S_IRUSR | S_IWUSR);
	return code;
}

// Takes a slot among the readers, after those of dead ones have been cleared.
static int begin_looking(struct database *database)
{
	int code = mdb_reader_check(database->env, NULL);
	if (!code)
		code = mdb_txn_begin(database->env, NULL, MDB_RDONLY, &database->look);
	if (!code)
		code = mdb_dbi_open(database->look, NULL, 0, &database->dbi);
	if (!code)
		code = mdb_env_get_fd(database->env, &database->fd);
	if (!code)
		mdb_txn_reset(database->look);
	return code;
}

static struct database *open_prepared(
    const struct database_place *place, enum database_use use, int *out_code)
{
	struct database *database = xcalloc(1, sizeof(*database));
	*out_code = open_environment(database, place, use);
	if (!*out_code)
		*out_code = begin_looking(database);
	if (*out_code)
		database_close(&database);
	return database;
}

static void explain(const char *path, int code, struct text *why)
{
	if (code == ENOENT)
		text_addf(why,
		    "there is no %s yet; `popgate user add NAME` or `popgate user import FILE` "
		    "makes it",
		    path);
	else if (code == EACCES)
		text_addf(why,
		    "%s cannot be opened: %s; the user that workers become must be able to read "
		    "it and to write %s-lock, the user of `popgate user` to write both",
		    path, strerror(code), path);
	else
		text_addf(why, "%s cannot be opened: %s", path, problem_of(code));
}

bool database_prepare(const struct database_place *place, enum database_use use, struct text *why)
{
	char *lock = join(place->path, "-lock");
	int code = prepare_files(place, lock, use);
	if (code)
		explain(place->path, code, why);
	free(lock);
	return !code;
}

struct database *database_open(
    const struct database_place *place, enum database_use use, struct text *why)
{
	int code;
	if (!database_prepare(place, use, why))
		return NULL;
	struct database *database = open_prepared(place, use, &code);
	if (!database)
		explain(place->path, code, why);
	return database;
}

void database_close(struct database **database)
{
	if (!*database)
		return;
	if ((*database)->change)
		mdb_txn_abort((*database)->change);
	if ((*database)->look)
		mdb_txn_abort((*database)->look);
	if ((*database)->env)
		mdb_env_close((*database)->env);
	free(*database);
	*database = NULL;
}

// ---- looking ------------------------------------------------------------

// A file that has shrunk was written over, and reading where it was would be the
// end of the process.
static bool has_shrunk(struct database *database)
{
	off_t size = lseek(database->fd, 0, SEEK_END);
	if (size > database->size)
		database->size = size;
	return size < database->size;
}

bool database_is_short(const struct database *database)
{
	MDB_envinfo info;
	MDB_stat stat;
	off_t size = lseek(database->fd, 0, SEEK_END);
	return size < 0 || mdb_env_info(database->env, &info) ||
	       mdb_env_stat(database->env, &stat) ||
	       (size_t)size / stat.ms_psize <= info.me_last_pgno;
}

bool database_look(struct database *database, const char **why)
{
	if (!has_shrunk(database))
		return report(mdb_txn_renew(database->look), why);
	*why = "it was written over in place; move a file to its place instead, and reload popgate";
	return false;
}

void database_look_away(struct database *database)
{
	mdb_txn_reset(database->look);
}

static struct str str_of_value(MDB_val value)
{
	return (struct str){value.mv_data, value.mv_size};
}

static MDB_val value_of(struct str s)
{
	return (MDB_val){s.len, (char *)s.at};
}

static enum database_found found(int code, const char **why)
{
	if (code == MDB_NOTFOUND || code == MDB_BAD_VALSIZE) // no key is as long
		return DATABASE_ABSENT;
	return report(code, why) ? DATABASE_FOUND : DATABASE_FAILED;
}

static MDB_txn *current(const struct database *database)
{
	return database->change ? database->change : database->look;
}

enum database_found database_get(
    struct database *database, struct str key, struct str *out_value, const char **why)
{
	MDB_val wanted = value_of(key), value = {0};
	int code = mdb_get(current(database), database->dbi, &wanted, &value);
	*out_value = str_of_value(value);
	return found(code, why);
}

// Moves to the first key that is not before `key`, and on when it is that one.
static int move_behind(MDB_cursor *cursor, struct str key, MDB_val *at, MDB_val *value)
{
	*at = value_of(key);
	int code = mdb_cursor_get(cursor, at, value, key.len ? MDB_SET_RANGE : MDB_FIRST);
	if (!code && key.len && str_eq(str_of_value(*at), key))
		code = mdb_cursor_get(cursor, at, value, MDB_NEXT);
	return code;
}

enum database_found database_next(struct database *database, struct str key, struct str *out_key,
    struct str *out_value, const char **why)
{
	MDB_cursor *cursor;
	MDB_val wanted = value_of(key), at = {0}, value = {0};
	int code = mdb_cursor_open(current(database), database->dbi, &cursor);
	if (!code) {
		code = move_behind(cursor, key, &at, &value);
		mdb_cursor_close(cursor);
	}
	*out_key = str_of_value(at);
	*out_value = str_of_value(value);
	if (!code && mdb_cmp(current(database), database->dbi, &at, &wanted) <= 0)
		code = MDB_CORRUPTED; // and would go round for ever
	return found(code, why);
}

// ---- changing -----------------------------------------------------------

bool database_begin(struct database *database, const char **why)
{
	return report(mdb_txn_begin(database->env, NULL, 0, &database->change), why);
}

bool database_commit(struct database *database, const char **why)
{
	MDB_txn *change = database->change;
	database->change = NULL;
	return report(mdb_txn_commit(change), why);
}

void database_abort(struct database *database)
{
	mdb_txn_abort(database->change);
	database->change = NULL;
}

bool database_put(struct database *database, struct str key, struct str value, const char **why)
{
	MDB_val at = value_of(key), bytes = value_of(value);
	return report(mdb_put(database->change, database->dbi, &at, &bytes, 0), why);
}

enum database_found database_remove(struct database *database, struct str key, const char **why)
{
	MDB_val at = value_of(key);
	return found(mdb_del(database->change, database->dbi, &at, NULL), why);
}
