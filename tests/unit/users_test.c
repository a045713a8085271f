// users_test.c: users.db as one process changes it and others read it: what is
// found, what is seen and when, and what becomes of it when a file is full,
// replaced or damaged, or a process dies in the middle.
//
// Readers are processes of their own, as workers are: they give up root, where the
// test has it, and enter the filter of system calls.
#include "tests/kit/check.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/users/users.h"
#include "proxy/server/filter.h"

enum { NOBODY = 65534, ROOM = 1024 };

static const uint8_t key[USERS_KEY_SIZE] = {1, 2, 3};

struct place {
	char folder[64], path[128], lock[128];
};

static struct place folder_new(void)
{
	struct place place = {"/tmp/popgate-users-XXXXXX", "", ""};
	assert_non_null(mkdtemp(place.folder));
	assert_int_equal(chmod(place.folder, 0755), 0);
	snprintf(place.path, sizeof(place.path), "%s/users.db", place.folder);
	snprintf(place.lock, sizeof(place.lock), "%s/users.db-lock", place.folder);
	return place;
}

static void folder_done(const struct place *place)
{
	unlink(place->path);
	unlink(place->lock);
	assert_int_equal(rmdir(place->folder), 0);
}

static struct users *open_sized(const struct place *place, enum database_use use, size_t size)
{
	const struct database_place at = {
	    .path = place->path, .size_max = size, .is_shared = geteuid() == 0, .group = NOBODY};
	char room[ROOM];
	struct text why = TEXT(room);
	struct users *users = users_open_at(&at, use, key, &why);
	check(text_str(&why), users != NULL && !why.len);
	return users;
}

static struct users *open_at(const struct place *place, enum database_use use)
{
	return open_sized(place, use, USERS_SIZE_MAX);
}

static bool put(struct users *users, const char *name, const char *mailbox, const char **why)
{
	struct user_record record = {.enabled = true, .mailbox = (char *)mailbox};
	return users_put(users, str_of(name), &record, why);
}

// One change, in a database that is opened for it and closed, as commands do.
static void change(const struct place *place, const char *name, const char *mailbox)
{
	const char *why = "";
	struct users *users = open_at(place, DATABASE_MAKE);
	check(str_of(why), users_begin(users, &why));
	if (mailbox)
		check(str_of(why), put(users, name, mailbox, &why));
	else
		check(str_of(name), users_remove(users, str_of(name), &why) == USERS_FOUND);
	check(str_of(why), users_commit(users, &why));
	users_close(&users);
}

// What a look-up gives, as a letter and the mailbox: "+box", "-", "! why".
static void look_up(struct users *users, const char *domain, const char *user, struct text *out)
{
	struct user_record record;
	const char *why = "";
	switch (users_look_up(users, str_of(domain), str_of(user), &record, &why)) {
	case USERS_FOUND: text_addf(out, "+%s", record.mailbox ? record.mailbox : ""); break;
	case USERS_UNKNOWN: text_addf(out, "-"); break;
	case USERS_UNAVAILABLE: text_addf(out, "! %s", why); break;
	}
	user_record_done(&record);
}

static void check_user(
    struct users *users, const char *domain, const char *user, const char *wanted)
{
	char room[ROOM];
	struct text found = TEXT(room);
	look_up(users, domain, user, &found);
	check_str(str_of(user), str_take(text_str(&found), strlen(wanted)), str_of(wanted));
}

// ---- a reader in a process of its own -----------------------------------

struct reader {
	pid_t pid;
	int fd;
};

static void answer(struct users *users, int fd)
{
	char user[ROOM];
	ssize_t len;
	while ((len = read(fd, user, sizeof(user) - 1)) > 0) {
		char room[ROOM];
		struct text found = TEXT(room);
		user[len] = '\0';
		look_up(users, "", user, &found);
		if (write(fd, room, found.len) != (ssize_t)found.len)
			_exit(1);
	}
}

static void become_nobody(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	                          setresuid(NOBODY, NOBODY, NOBODY)))
		_exit(1);
}

// In the order of a worker: another user, what is needed open, the filter.
static _Noreturn void read_as_worker(
    const struct place *place, int fd, void (*work)(struct users *users, int fd))
{
	char room[ROOM];
	struct text why = TEXT(room);
	become_nobody();
	struct users *users = users_open(place->path, key, &why);
	if (users && !filter_enter(FILTER_worker, &why))
		_exit(1);
	if (write(fd, users ? "open" : room, users ? 4 : why.len) > 0 && users)
		work(users, fd);
	users_close(&users);
	_exit(0);
}

// `work` is done with the open database until it returns.
static struct reader reader_start(
    const struct place *place, void (*work)(struct users *users, int fd))
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	struct reader reader = {fork(), fds[0]};
	assert_true(reader.pid >= 0);
	if (reader.pid == 0) {
		close(fds[0]);
		read_as_worker(place, fds[1], work);
	}
	close(fds[1]);
	return reader;
}

static struct str hear(const struct reader *reader, char room[ROOM])
{
	ssize_t len = read(reader->fd, room, ROOM);
	assert_true(len >= 0);
	return (struct str){room, (size_t)len};
}

static struct reader reader_open(
    const struct place *place, void (*work)(struct users *users, int fd))
{
	char room[ROOM];
	struct reader reader = reader_start(place, work);
	check_str(STR("a reader"), hear(&reader, room), STR("open"));
	return reader;
}

static void check_asked(const struct reader *reader, const char *user, const char *wanted)
{
	char room[ROOM];
	assert_true(write(reader->fd, user, strlen(user)) > 0);
	check_str(str_of(user), str_take(hear(reader, room), strlen(wanted)), str_of(wanted));
}

static void reader_end(struct reader *reader, int signal_number)
{
	int status;
	if (signal_number)
		kill(reader->pid, signal_number);
	shutdown(reader->fd, SHUT_RDWR); // others may have inherited it
	close(reader->fd);
	assert_int_equal(waitpid(reader->pid, &status, 0), reader->pid);
	if (signal_number)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal_number);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// ---- what is found ------------------------------------------------------

static void test_look_up(void **state)
{
	static const struct {
		const char *domain, *user, *wanted;
	} rows[] = {
	    {"", "anna", "+plain"},
	    {"", "ANNA", "+plain"},
	    {"", "anna@example.org", "+of example.org"},
	    {"EXAMPLE.org", "Anna", "+of example.org"},
	    {"other", "anna", "+plain"},
	    {"example.org", "bert", "+bert"},
	    {"", "bert", "-"},
	    {"other", "bert", "-"},
	    {"", "", "-"},
	    {"", "a\nb", "-"},
	    {"", "\xff", "-"},
	    {"\xff", "anna", "+plain"},
	    {"", "popgate", "-"},
	};
	struct place place = folder_new();
	(void)state;
	change(&place, "anna", "plain");
	change(&place, "anna@example.org", "of example.org");
	change(&place, "bert@example.org", "bert");
	struct users *users = open_at(&place, DATABASE_READ);
	for (size_t i = 0; i < NUM(rows); i++)
		check_user(users, rows[i].domain, rows[i].user, rows[i].wanted);
	users_close(&users);
	users_close(&users);
	folder_done(&place);
}

struct listing {
	struct users_visitor visitor;
	struct text names;
	char room[ROOM];
	int num_left;
};

static bool list(struct users_visitor *visitor, struct str name, const struct user_record *record)
{
	struct listing *listing = (struct listing *)visitor;
	text_addf(&listing->names, "%.*s=%s ", STR_ARG(name), record->mailbox);
	return --listing->num_left;
}

static void check_listing(struct users *users, int most, enum users_found end, const char *wanted)
{
	struct listing listing = {.visitor = {list}, .num_left = most};
	const char *why = "";
	listing.names = (struct text)TEXT(listing.room);
	check(str_of(wanted), users_walk(users, &listing.visitor, &why) == end);
	check_str(str_of(wanted), text_str(&listing.names), str_of(wanted));
}

static void test_walk(void **state)
{
	struct place place = folder_new();
	const char *why = "";
	(void)state;
	struct users *users = open_at(&place, DATABASE_MAKE);
	check_listing(users, -1, USERS_FOUND, "");
	assert_true(users_begin(users, &why));
	assert_true(
	    put(users, "b", "2", &why) && put(users, "a", "1", &why) && put(users, "c", "3", &why));
	check_listing(users, -1, USERS_FOUND, "a=1 b=2 c=3 ");
	assert_true(users_commit(users, &why));
	check_listing(users, -1, USERS_FOUND, "a=1 b=2 c=3 ");
	check_listing(users, 2, USERS_UNKNOWN, "a=1 b=2 ");
	users_close(&users);
	folder_done(&place);
}

static void test_changes_are_all_or_none(void **state)
{
	struct place place = folder_new();
	const char *why = "";
	(void)state;
	change(&place, "anna", "1");
	struct users *users = open_at(&place, DATABASE_CHANGE);
	assert_true(users_begin(users, &why));
	assert_true(put(users, "anna", "2", &why) && put(users, "bert", "2", &why));
	assert_int_equal(users_remove(users, STR("nobody"), &why), USERS_UNKNOWN);
	users_abort(users);
	check_user(users, "", "anna", "+1");
	check_user(users, "", "bert", "-");
	assert_true(users_begin(users, &why));
	assert_true(put(users, "anna", "3", &why));
	users_close(&users); // as when a command ends too early
	users = open_at(&place, DATABASE_CHANGE);
	check_user(users, "", "anna", "+1");
	users_close(&users);
	folder_done(&place);
}

// ---- opening ------------------------------------------------------------

static void check_refused(
    const struct place *place, const uint8_t *with_key, enum database_use use, const char *word)
{
	const struct database_place at = {.path = place->path, .size_max = USERS_SIZE_MAX};
	char room[ROOM];
	struct text why = TEXT(room);
	struct users *users = users_open_at(&at, use, with_key, &why);
	check(str_of(word), !users);
	check(text_str(&why), str_has_nocase(text_str(&why), str_of(word)));
	check(text_str(&why), str_has_nocase(text_str(&why), str_of(place->path)));
}

static void test_wrong_key(void **state)
{
	static const uint8_t other[USERS_KEY_SIZE] = {3, 2, 1};
	struct place place = folder_new();
	(void)state;
	struct users *users = open_at(&place, DATABASE_MAKE); // empty yet: any key will do
	users_close(&users);
	change(&place, "anna", "1");
	check_refused(&place, other, DATABASE_READ, "another key");
	check_refused(&place, other, DATABASE_MAKE, "another key");
	change(&place, "anna", NULL); // and of one that is empty again
	check_refused(&place, other, DATABASE_READ, "another key");
	folder_done(&place);
}

static void write_file(const char *path, const char *bytes, size_t len)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void test_files_that_are_none(void **state)
{
	static char page[8192];
	struct place place = folder_new();
	const char *why = "";
	(void)state;
	check_refused(&place, key, DATABASE_READ, "there is no");
	check_refused(&place, key, DATABASE_CHANGE, "popgate user add");
	write_file(place.path, page, sizeof(page));
	check_refused(&place, key, DATABASE_READ, "damaged");
	check_refused(&place, key, DATABASE_MAKE, "damaged");
	unlink(place.path);
	// An LMDB database of somebody else's.
	const struct database_place at = {.path = place.path, .size_max = USERS_SIZE_MAX};
	char room[ROOM];
	struct text text = TEXT(room);
	struct database *database = database_open(&at, DATABASE_MAKE, &text);
	assert_true(database_begin(database, &why));
	assert_true(database_put(database, STR("cn=anna"), STR("x"), &why));
	assert_true(database_commit(database, &why));
	database_close(&database);
	check_refused(&place, key, DATABASE_READ, "not one of popgate's");
	folder_done(&place);
}

static void test_exchanged_records(void **state)
{
	struct place place = folder_new();
	const struct database_place at = {.path = place.path, .size_max = USERS_SIZE_MAX};
	char room[ROOM];
	struct text text = TEXT(room);
	const char *why = "";
	struct str value;
	(void)state;
	change(&place, "anna", "1");
	change(&place, "bert", "2");
	struct database *database = database_open(&at, DATABASE_CHANGE, &text);
	assert_true(database_begin(database, &why));
	assert_int_equal(database_get(database, STR("anna"), &value, &why), DATABASE_FOUND);
	char copy[ROOM];
	memcpy(copy, value.at, value.len);
	assert_true(database_put(database, STR("bert"), (struct str){copy, value.len}, &why));
	assert_true(database_put(database, STR("clara"), str_take(value, 3), &why));
	assert_true(database_put(
	    database, STR("dora"), check_fill((char[4000]){0}, 4000, 'x', 3000), &why));
	assert_true(database_commit(database, &why));
	database_close(&database);
	struct users *users = open_at(&place, DATABASE_READ);
	check_user(users, "", "anna", "+1");
	check_user(users, "", "bert", "! the user's record is damaged");
	check_user(users, "", "clara", "! the user's record is damaged");
	check_user(users, "", "dora", "! the user's record is damaged");
	users_close(&users);
	folder_done(&place);
}

// ---- several processes --------------------------------------------------

static void test_seen_at_once(void **state)
{
	struct place place = folder_new();
	(void)state;
	change(&place, "anna", "1");
	struct reader first = reader_open(&place, answer), second = reader_open(&place, answer);
	check_asked(&first, "anna", "+1");
	change(&place, "anna", "2");
	check_asked(&first, "anna", "+2");
	check_asked(&second, "anna", "+2");
	change(&place, "bert", "3");
	check_asked(&second, "bert", "+3");
	change(&place, "anna", NULL);
	check_asked(&first, "anna", "-");
	check_asked(&first, "Bert", "+3");
	reader_end(&first, 0);
	change(&place, "anna", "4");
	check_asked(&second, "anna", "+4");
	reader_end(&second, 0);
	folder_done(&place);
}

static void test_rights(void **state)
{
	struct place place = folder_new();
	struct stat status;
	char room[ROOM];
	(void)state;
	if (geteuid() != 0) {
		folder_done(&place);
		skip();
	}
	change(&place, "anna", "1");
	assert_int_equal(stat(place.path, &status), 0);
	assert_true((status.st_mode & 0777) == 0640 && status.st_gid == NOBODY);
	assert_int_equal(stat(place.lock, &status), 0);
	assert_true((status.st_mode & 0777) == 0660 && status.st_gid == NOBODY);
	unlink(place.lock); // as after a move to another machine; any command makes it
	struct users *users = open_at(&place, DATABASE_READ);
	users_close(&users);
	struct reader reader = reader_open(&place, answer);
	check_asked(&reader, "anna", "+1");
	reader_end(&reader, 0);
	assert_int_equal(chmod(place.path, 0600), 0);
	reader = reader_start(&place, answer);
	struct str said = hear(&reader, room);
	check(said, str_has_nocase(said, STR("must be able to read it")));
	reader_end(&reader, 0);
	folder_done(&place);
}

// Every look-up must see the mailbox of one commit or the next.
static void look_up_until_told(struct users *users, int fd)
{
	char room[ROOM], last = '0';
	bool ordered = true;
	while (recv(fd, room, sizeof(room), MSG_DONTWAIT) < 0) {
		struct text found = TEXT(room);
		look_up(users, "", "anna", &found);
		ordered = ordered && room[0] == '+' && room[1] >= last;
		last = room[1];
	}
	(void)!write(fd, ordered ? "+" : "-", 1);
}

static void test_reading_while_writing(void **state)
{
	struct place place = folder_new();
	char name[16], mailbox[2] = "0", room[ROOM];
	const char *why = "";
	(void)state;
	change(&place, "anna", mailbox);
	struct reader reader = reader_open(&place, look_up_until_told);
	struct users *users = open_at(&place, DATABASE_CHANGE);
	for (int i = 0; i < 300; i++) {
		assert_true(users_begin(users, &why));
		mailbox[0] = (char)('0' + i / 4);
		assert_true(put(users, "anna", mailbox, &why));
		for (int j = 0; j < 40; j++) {
			snprintf(name, sizeof(name), "user%d", (i * 7919 + j * 104729) % 1000);
			assert_true(put(users, name, mailbox, &why));
		}
		assert_true(users_commit(users, &why));
	}
	users_close(&users);
	assert_true(write(reader.fd, "end", 3) > 0);
	check_str(STR("a reader beside a writer"), hear(&reader, room), STR("+"));
	reader_end(&reader, 0);
	folder_done(&place);
}

static off_t size_after_many_changes(const struct place *place)
{
	const char *why = "";
	char name[16];
	struct stat status;
	struct users *users = open_at(place, DATABASE_CHANGE);
	for (int i = 0; i < 200; i++) {
		assert_true(users_begin(users, &why));
		for (int j = 0; j < 10; j++) {
			snprintf(name, sizeof(name), "user%d", j);
			assert_true(put(users, name, "mailbox", &why));
		}
		assert_true(users_commit(users, &why));
	}
	users_close(&users);
	assert_int_equal(stat(place->path, &status), 0);
	return status.st_size;
}

struct stalling {
	struct users_visitor visitor;
	int fd;
};

static bool stall(struct users_visitor *visitor, struct str name, const struct user_record *record)
{
	const struct stalling *stalling = (const struct stalling *)visitor;
	(void)name;
	(void)record;
	char room[ROOM];
	return write(stalling->fd, "looking", 7) == 7 && read(stalling->fd, room, sizeof(room)) > 0;
}

static void look_for_long(struct users *users, int fd)
{
	struct stalling stalling = {{stall}, fd};
	const char *why;
	(void)users_walk(users, &stalling.visitor, &why);
}

static void test_reader_killed_while_it_looks(void **state)
{
	struct place place = folder_new();
	char room[ROOM];
	(void)state;
	change(&place, "user0", "1");
	off_t usual = size_after_many_changes(&place);
	struct reader reader = reader_open(&place, look_for_long);
	check_str(STR("a reader"), hear(&reader, room), STR("looking"));
	struct reader other = reader_open(&place, answer);
	off_t held = size_after_many_changes(&place);
	assert_true(held > usual); // nothing that it may see is written over
	reader_end(&reader, SIGKILL);
	assert_int_equal(size_after_many_changes(&place), held);
	check_asked(&other, "user9", "+mailbox");
	reader_end(&other, 0);
	folder_done(&place);
}

// A command that dies in the middle of changes leaves none, and the next goes on.
static void test_writer_killed(void **state)
{
	struct place place = folder_new();
	int fds[2], status;
	char byte;
	(void)state;
	change(&place, "anna", "1");
	struct reader reader = reader_open(&place, answer);
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		const char *why;
		struct users *users = open_at(&place, DATABASE_CHANGE);
		if (users_begin(users, &why) && put(users, "anna", "2", &why))
			(void)!write(fds[1], "x", 1);
		pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	check_asked(&reader, "anna", "+1"); // no reader waits for a writer
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	check_asked(&reader, "anna", "+1");
	change(&place, "anna", "3");
	check_asked(&reader, "anna", "+3");
	reader_end(&reader, 0);
	close(fds[0]);
	close(fds[1]);
	folder_done(&place);
}

// ---- full ---------------------------------------------------------------

// Adds users until that fails; the reason.
static const char *fill(struct users *users)
{
	const char *why = "";
	char name[16];
	assert_true(users_begin(users, &why));
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		if (!put(users, name, "mailbox", &why)) {
			users_abort(users);
			return why;
		}
	}
	return users_commit(users, &why) ? NULL : why;
}

static void test_full(void **state)
{
	struct place place = folder_new();
	(void)state;
	change(&place, "anna", "1");
	struct reader reader = reader_open(&place, answer);
	struct users *users = open_sized(&place, DATABASE_CHANGE, 256 * 1024);
	assert_non_null(strstr(fill(users), "it is full; nothing was changed"));
	check_user(users, "", "anna", "+1");
	check_user(users, "", "user0", "-");
	users_close(&users);
	check_asked(&reader, "anna", "+1");
	change(&place, "anna", "2");
	check_asked(&reader, "anna", "+2");
	reader_end(&reader, 0);
	folder_done(&place);
}

// A file that may not grow is as good as a full disk, and needs no disk.
static void test_full_disk(void **state)
{
	struct place place = folder_new();
	int status;
	(void)state;
	change(&place, "anna", "1");
	struct reader reader = reader_open(&place, answer);
	pid_t pid = fork();
	if (pid == 0) {
		const struct rlimit limit = {1024 * 1024, 1024 * 1024};
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		struct users *users = open_at(&place, DATABASE_CHANGE);
		const char *why = fill(users);
		users_close(&users);
		_exit(why && strstr(why, "nothing was changed") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	check_asked(&reader, "anna", "+1");
	check_asked(&reader, "user1", "-");
	change(&place, "anna", "2");
	check_asked(&reader, "anna", "+2");
	reader_end(&reader, 0);
	folder_done(&place);
}

// ---- another file -------------------------------------------------------

// Makes a database of its own with so many commits, and moves it to the place.
static void replace(const struct place *place, const char *mailbox, int commits)
{
	struct place other = folder_new();
	for (int i = 0; i < commits; i++)
		change(&other, "anna", mailbox);
	assert_int_equal(rename(other.path, place->path), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(place->path, (uid_t)-1, NOBODY), 0);
	folder_done(&other);
}

// Who has the old one open goes on with it; who opens the new one sees that, and
// the changes of it, whatever number of commits the two had.
static void test_replaced(void **state)
{
	(void)state;
	for (int commits = 1; commits < 8; commits++) {
		struct place place = folder_new();
		for (int i = 0; i < 4; i++)
			change(&place, "anna", "old");
		struct reader old = reader_open(&place, answer);
		check_asked(&old, "anna", "+old");
		replace(&place, "new", commits);
		check_asked(&old, "anna", "+old");
		struct users *users = open_at(&place, DATABASE_READ);
		check_user(users, "", "anna", "+new");
		users_close(&users);
		change(&place, "bert", "new");
		struct reader new = reader_open(&place, answer);
		check_asked(&new, "anna", "+new");
		check_asked(&new, "bert", "+new");
		for (int i = 0; i < 5; i++) {
			change(&place, "bert", i % 2 ? "1" : "2");
			check_asked(&new, "bert", i % 2 ? "+1" : "+2");
			check_asked(&new, "anna", "+new");
			check_asked(&old, "anna", "+old");
		}
		reader_end(&old, 0);
		reader_end(&new, 0);
		folder_done(&place);
	}
}

// Opens as root would, and tells when it has.
static _Noreturn void open_and_answer(const struct place *place, int fd)
{
	struct users *users = open_at(place, DATABASE_READ);
	if (write(fd, "open", 4) == 4)
		answer(users, fd);
	users_close(&users);
	_exit(0);
}

// All must come to use one lock file: each sees every change, and is seen.
static void test_opened_by_many_at_once(void **state)
{
	enum { MANY = 8 };
	(void)state;
	for (int round = 0; round < 10; round++) {
		struct place place = folder_new();
		struct reader readers[MANY];
		change(&place, "anna", "old");
		replace(&place, "new", 1);
		for (int i = 0; i < MANY; i++) {
			int fds[2];
			assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
			readers[i] = (struct reader){fork(), fds[0]};
			if (readers[i].pid == 0)
				open_and_answer(&place, fds[1]);
			close(fds[1]);
		}
		for (int i = 0; i < MANY; i++) {
			char room[ROOM];
			check_str(STR("one of many"), hear(&readers[i], room), STR("open"));
		}
		for (int commit = 0; commit < 3; commit++) {
			change(&place, "anna", commit % 2 ? "1" : "2");
			for (int i = 0; i < MANY; i++)
				check_asked(&readers[i], "anna", commit % 2 ? "+1" : "+2");
		}
		for (int i = 0; i < MANY; i++)
			reader_end(&readers[i], 0);
		folder_done(&place);
	}
}

// LMDB would go through so many readers, far behind the end of the file.
static void test_damaged_lock(void **state)
{
	enum { NUM_READERS_AT = 56 };
	const uint32_t two = 2, wild = UINT32_MAX;
	uint32_t count = 0;
	struct place place = folder_new();
	(void)state;
	change(&place, "anna", "1");
	struct reader reader = reader_open(&place, answer);
	int fd = open(place.lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &count, sizeof(count), NUM_READERS_AT), sizeof(count));
	assert_int_equal(count, 1); // that is where it stands
	assert_int_equal(pwrite(fd, &wild, sizeof(wild), NUM_READERS_AT), sizeof(wild));
	check_refused(&place, key, DATABASE_READ, "lock file beside it is damaged");
	check_refused(&place, key, DATABASE_CHANGE, "lock file beside it is damaged");
	assert_int_equal(pwrite(fd, &two, sizeof(two), NUM_READERS_AT), sizeof(two));
	change(&place, "anna", "2");
	check_asked(&reader, "anna", "+2");
	assert_int_equal(pwrite(fd, &wild, sizeof(wild), NUM_READERS_AT), sizeof(wild));
	reader_end(&reader, 0);
	change(&place, "anna", "3"); // nobody holds it any more
	assert_int_equal(pread(fd, &count, sizeof(count), NUM_READERS_AT), sizeof(count));
	assert_in_range(count, 0, two);
	close(fd);
	folder_done(&place);
}

static void test_written_over(void **state)
{
	struct place place = folder_new();
	(void)state;
	change(&place, "anna", "1");
	struct reader reader = reader_open(&place, answer);
	check_asked(&reader, "anna", "+1");
	write_file(place.path, "", 0);
	check_asked(&reader, "anna", "! it was written over");
	reader_end(&reader, 0);
	folder_done(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_look_up),
	    cmocka_unit_test(test_walk),
	    cmocka_unit_test(test_changes_are_all_or_none),
	    cmocka_unit_test(test_wrong_key),
	    cmocka_unit_test(test_files_that_are_none),
	    cmocka_unit_test(test_exchanged_records),
	    cmocka_unit_test(test_seen_at_once),
	    cmocka_unit_test(test_rights),
	    cmocka_unit_test(test_reading_while_writing),
	    cmocka_unit_test(test_reader_killed_while_it_looks),
	    cmocka_unit_test(test_writer_killed),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_full_disk),
	    cmocka_unit_test(test_replaced),
	    cmocka_unit_test(test_opened_by_many_at_once),
	    cmocka_unit_test(test_damaged_lock),
	    cmocka_unit_test(test_written_over),
	};
	return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
