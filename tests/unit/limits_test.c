// limits_test.c: places are counted exactly: by one worker, by several at a
// time, and when workers are killed in the middle of a change.
#include "tests/kit/check.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/limits.h"
#include "proxy/base/text.h"

enum { WORKERS = 4, STEADY = WORKERS, HELD = 5, KILLS = 400, ROUNDS = 20000, MANY = 100000 };

static struct limits *open_pages(unsigned worker)
{
	struct limits *limits = limits_new();
	assert_non_null(limits);
	limits_be_worker(limits, worker);
	return limits;
}

static void test_take_and_give_back(void **state)
{
	struct limits *limits = open_pages(0);
	struct limits_place places[3], none = {0};
	uint64_t key = limits_key_user(STR("store"), STR("anna"));
	(void)state;
	assert_true(limits_take(limits, key, 2, &places[0]));
	assert_true(limits_take(limits, key, 2, &places[1]));
	assert_false(limits_take(limits, key, 2, &places[2]));
	limits_give_back(limits, &places[2]);
	assert_int_equal(limits_count(limits, key), 2);
	limits_give_back(limits, &places[0]);
	limits_give_back(limits, &places[0]); // has become none
	limits_give_back(limits, &none);
	assert_int_equal(limits_count(limits, key), 1);
	assert_true(limits_take(limits, key, 2, &places[0]));
	assert_false(limits_take(limits, key, 0, &places[2]));
	limits_free(&limits);
	assert_null(limits);
}

static void test_keys_differ(void **state)
{
	struct limits *limits = open_pages(0);
	struct addr v4, v6;
	(void)state;
	assert_true(addr_parse(STR("192.0.2.1:1"), 0, &v4));
	assert_true(addr_parse(STR("[2001:db8::1]:1"), 0, &v6));
	uint64_t keys[] = {
	    limits_key_listener(STR("a")),
	    limits_key_listener(STR("b")),
	    limits_key_listener(STR("12345678")),
	    limits_key_listener(STR("123456789")),
	    limits_key_ip(STR("a"), &v4),
	    limits_key_ip(STR("b"), &v4),
	    limits_key_ip(STR("a"), &v6),
	    limits_key_user(STR("a"), STR("bc")),
	    limits_key_user(STR("ab"), STR("c")),
	};
	assert_true(limits_key_user(STR("a"), STR("Bc")) == limits_key_user(STR("a"), STR("bC")));
	for (size_t i = 0; i < NUM(keys); i++)
		for (size_t k = 0; k < i; k++)
			assert_true(keys[i] != keys[k]);
	addr_set_port(&v4, 2);
	assert_true(limits_key_ip(STR("a"), &v4) == keys[4]);
	limits_free(&limits);
}

static void test_many_keys(void **state)
{
	struct limits *limits = open_pages(0);
	struct limits_place *places = calloc(MANY, sizeof(*places));
	uint64_t *keys = calloc(MANY, sizeof(*keys));
	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		char room[16];
		struct text user = TEXT(room);
		text_add_u64(&user, i);
		keys[i] = limits_key_user(STR("store"), text_str(&user));
		assert_true(limits_take(limits, keys[i], 2, &places[i]));
	}
	// Two of so many keys may have set and tag in common, and count as one.
	for (size_t i = 0; i < MANY; i++)
		assert_in_range(limits_count(limits, keys[i]), 1, 2);
	limits_forget_worker(limits, 0);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(limits_count(limits, keys[i]), 0);
	free(keys);
	free(places);
	limits_free(&limits);
}

// Some thousand sessions of as many users live in a few pages.
static void test_few_pages(void **state)
{
	enum { SOME = 2000 };
	struct limits *limits = open_pages(0);
	struct stat pages;
	(void)state;
	for (uint32_t i = 0; i < SOME; i++) {
		char room[16];
		struct text user = TEXT(room);
		struct limits_place place;
		text_add_u64(&user, i);
		assert_true(
		    limits_take(limits, limits_key_user(STR("store"), text_str(&user)), 2, &place));
	}
	assert_int_equal(fstat(limits_fd(limits), &pages), 0);
	assert_in_range(pages.st_blocks * 512, 0, SOME * 64);
	limits_free(&limits);
}

static void test_open(void **state)
{
	struct limits *limits = open_pages(0);
	struct limits_place place;
	uint64_t key = limits_key_listener(STR("pop3s"));
	int other = memfd_create("other", MFD_CLOEXEC);
	(void)state;
	assert_true(limits_take(limits, key, 1, &place));
	struct limits *again = limits_open(dup(limits_fd(limits)));
	assert_non_null(again);
	assert_int_equal(limits_count(again, limits_key_listener(STR("pop3s"))), 1);
	assert_null(limits_open(other));
	assert_null(limits_open(-1));
	close(other);
	limits_free(&again);
	limits_free(&limits);
}

// Three keys: one alone, and two with so little room that most are refused.
static uint64_t key_number(unsigned i)
{
	char name = (char)('a' + i % 3);
	return limits_key_listener((struct str){&name, 1});
}

static uint64_t max_number(unsigned i)
{
	return i % 3 ? 3 : 1000000;
}

// Who holds a place under keys 1 and 2 at this moment; shared by all.
static atomic_int *holders;

// False when more places are given than there are.
static bool take_one(struct limits *limits, unsigned i, struct limits_place *out_place)
{
	uint64_t max = max_number(i);
	if (!limits_take(limits, key_number(i), max, out_place))
		return true;
	return (uint64_t)atomic_fetch_add(&holders[i % 3], 1) < max;
}

static void give_one(struct limits *limits, unsigned i, struct limits_place *place)
{
	if (place->entry)
		atomic_fetch_sub(&holders[i % 3], 1);
	limits_give_back(limits, place);
}

static bool hammer(struct limits *limits, unsigned rounds)
{
	bool within = true;
	for (unsigned i = 0; i < rounds; i++) {
		struct limits_place first, second;
		within &= take_one(limits, i, &first);
		within &= take_one(limits, i, &second);
		give_one(limits, i, &second);
		give_one(limits, i, &first);
	}
	return within;
}

static pid_t start_hammer(struct limits *limits, unsigned worker, unsigned rounds)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	struct limits_place kept;
	limits_be_worker(limits, worker);
	_exit(!hammer(limits, rounds) || !limits_take(limits, key_number(0), max_number(0), &kept));
}

static void test_together(void **state)
{
	struct limits *limits = open_pages(STEADY);
	pid_t pids[WORKERS];
	(void)state;
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = start_hammer(limits, i, ROUNDS);
	for (unsigned i = 0; i < WORKERS; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(limits_count(limits, key_number(0)), WORKERS);
	assert_int_equal(limits_count(limits, key_number(1)), 0);
	assert_int_equal(limits_count(limits, key_number(2)), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		limits_forget_worker(limits, i);
	assert_int_equal(limits_count(limits, key_number(0)), 0);
	limits_free(&limits);
}

static void kill_and_forget(struct limits *limits, unsigned worker, pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	limits_forget_worker(limits, worker);
}

// Most kills here come between the first and the last instruction of a change,
// and the others go on changing the same words.
static void test_killed(void **state)
{
	struct limits *limits = open_pages(STEADY);
	struct limits_place places[HELD];
	pid_t pids[WORKERS];
	(void)state;
	for (size_t i = 0; i < HELD; i++)
		assert_true(limits_take(limits, key_number(0), 1000000, &places[i]));
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = start_hammer(limits, i, UINT32_MAX);
	for (unsigned i = 0; i < KILLS; i++) {
		usleep(500 + i % 7 * 100);
		kill_and_forget(limits, i % WORKERS, pids[i % WORKERS]);
		pids[i % WORKERS] = start_hammer(limits, i % WORKERS, UINT32_MAX);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		kill_and_forget(limits, i, pids[i]);
	assert_int_equal(limits_count(limits, key_number(0)), HELD);
	assert_int_equal(limits_count(limits, key_number(1)), 0);
	assert_int_equal(limits_count(limits, key_number(2)), 0);
	limits_free(&limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_take_and_give_back),
	    cmocka_unit_test(test_keys_differ),
	    cmocka_unit_test(test_many_keys),
	    cmocka_unit_test(test_few_pages),
	    cmocka_unit_test(test_open),
	    cmocka_unit_test(test_together),
	    cmocka_unit_test(test_killed),
	};
	holders = mmap(
	    NULL, 3 * sizeof(*holders), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
