// users_bench.c: prints what a million users cost: to put them into users.db, to
// open it, to look them up, and to judge passwords by it; and what memory a process
// has of its own for that, beside the file's pages, which all share.
//
//     bazel run //tests/bench:users_bench
//
// A look-up of somebody who is not there should cost what one of somebody who is
// costs.
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/users/fields.h"
#include "backends/verify/verify_users.h"
#include "proxy/base/die.h"
#include "tests/bench/figures.h"

enum { USERS = 1000 * 1000, LOOKUPS = 1000 * 1000 };

static const uint8_t key[USERS_KEY_SIZE] = {1};

// With an ending that nobody has, a name between those that are there.
static struct str name_of(uint64_t number, const char *ending, char room[32])
{
	return (struct str){
	    room, (size_t)snprintf(room, 32, "user%07u%s", (unsigned)number, ending)};
}

static void make(const char *path)
{
	const struct database_place place = {.path = path, .size_max = USERS_SIZE_MAX};
	char reason[512], room[32];
	struct text text = TEXT(reason);
	struct user_record record = {.enabled = true};
	const char *why;
	BUG_ON(!user_field_set(&record, USER_FIELD_password, STR("sesame"), &text));
	secret_done(&record.password);
	double start = now_s();
	struct users *users = users_open_at(&place, DATABASE_MAKE, key, &text);
	BUG_ON(!users || !users_begin(users, &why));
	for (uint64_t i = 0; i < USERS; i++) // in no order
		BUG_ON(!users_put(users, name_of(i * 7919 % USERS, "", room), &record, &why));
	BUG_ON(!users_commit(users, &why));
	print("a million users put and committed", now_s() - start, "s");
	users_close(&users);
}

// By another process, so that all memory of this one is for looking.
static void make_apart(const char *path)
{
	int status;
	pid_t pid = fork();
	BUG_ON(pid < 0);
	if (!pid) {
		make(path);
		exit(EXIT_SUCCESS);
	}
	BUG_ON(waitpid(pid, &status, 0) != pid || status);
}

static void measure_file(const char *path)
{
	struct stat status;
	BUG_ON(stat(path, &status));
	print("the file of a million users", (double)status.st_size / (1 << 20), "MiB");
}

static double own_memory_kib(void)
{
	static const char wanted[] = "Anonymous:";
	char line[256];
	double kib = -1;
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	BUG_ON(!file);
	while (kib < 0 && fgets(line, sizeof(line), file))
		if (str_starts_nocase(str_of(line), str_of(wanted)))
			kib = strtod(line + strlen(wanted), NULL);
	fclose(file);
	BUG_ON(kib < 0);
	return kib;
}

static struct users *measure_open(const char *path)
{
	char reason[512];
	struct text text = TEXT(reason);
	double start = now_s();
	struct users *users = users_open(path, key, &text);
	print("open", (now_s() - start) * 1e3, "ms");
	BUG_ON(!users);
	return users;
}

static void measure_look_ups(
    struct users *users, const char *what, const char *ending, enum users_found wanted)
{
	double start = spent_s();
	for (int i = 0; i < LOOKUPS; i++) {
		struct user_record record;
		char room[32];
		const char *why;
		struct str name = name_of(draw() % USERS, ending, room);
		BUG_ON(users_look_up(users, STR(""), name, &record, &why) != wanted);
		user_record_done(&record);
	}
	print(what, (spent_s() - start) / LOOKUPS * 1e9, "ns");
}

static void measure_passwords(struct users *users, const char *what, const char *ending,
    struct str password, enum outcome wanted)
{
	double start = spent_s();
	for (int i = 0; i < LOOKUPS; i++) {
		struct claim claim = {.mechanism = NULL};
		struct user_record record;
		char room[32];
		const char *why;
		const struct account account = {.user = name_of(draw() % USERS, ending, room)};
		BUG_ON(!claim_plain(&claim, "USER", account.user, password));
		BUG_ON(verify_users(users, &claim, &account, &record, &why) != wanted);
		user_record_done(&record);
		claim_done(&claim);
	}
	print(what, (spent_s() - start) / LOOKUPS * 1e9, "ns");
}

int main(void)
{
	char folder[] = "/tmp/popgate-users-bench-XXXXXX", path[64], lock[64];
	BUG_ON(!mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/db", folder);
	snprintf(lock, sizeof(lock), "%s/db-lock", folder);
	make_apart(path);
	measure_file(path);
	double before_kib = own_memory_kib();
	struct users *users = measure_open(path);
	for (int round = 0; round < 2; round++) {
		measure_look_ups(users, "look-up, found", "", USERS_FOUND);
		measure_look_ups(users, "look-up, unknown", "x", USERS_UNKNOWN);
		measure_passwords(users, "password, right", "", STR("sesame"), OUTCOME_accepted);
		measure_passwords(users, "password, wrong", "", STR("seasme"), OUTCOME_rejected);
		measure_passwords(
		    users, "password, unknown user", "x", STR("sesame"), OUTCOME_unknown);
	}
	print("memory for ten million look-ups", own_memory_kib() - before_kib, "KiB");
	users_close(&users);
	BUG_ON(unlink(path) || unlink(lock) || rmdir(folder));
	return EXIT_SUCCESS;
}
