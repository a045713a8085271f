// host_answers_test.c: answers are found again as they were written, by other
// processes too; those that several write at once come out whole or not at all.
#include "policy/host_answers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/check.h"

enum { ROOM = 2048, WRITERS = 4, ROUNDS = 20000 };

static struct host_answers *answers;

static int open_answers(void **state)
{
	(void)state;
	answers = host_answers_new();
	return answers ? 0 : -1;
}

static int close_answers(void **state)
{
	(void)state;
	host_answers_free(&answers);
	assert_null(answers);
	return 0;
}

// So many addresses, all alike.
static struct host_answer answer_of(unsigned num, unsigned byte)
{
	struct host_answer answer = {.num = num};
	memset(answer.addrs, (int)byte, num * sizeof(answer.addrs[0]));
	return answer;
}

static bool is_answer(const struct host_answer *found, unsigned num, unsigned byte)
{
	struct host_answer wanted = answer_of(num, byte);
	return found->num == num &&
	       memcmp(found->addrs, wanted.addrs, num * sizeof(wanted.addrs[0])) == 0;
}

static void put(const char *name, enum dns_type type, unsigned num, unsigned byte, uint64_t now_ms)
{
	struct host_answer answer = answer_of(num, byte);
	host_answers_put(answers, str_of(name), type, &answer, now_ms);
}

static bool has(const char *name, enum dns_type type, unsigned num, unsigned byte)
{
	struct host_answer found;
	return host_answers_get(answers, str_of(name), type, &found) &&
	       is_answer(&found, num, byte);
}

static bool has_none(const char *name, enum dns_type type)
{
	struct host_answer found;
	return !host_answers_get(answers, str_of(name), type, &found);
}

static void test_put_and_get(void **state)
{
	(void)state;
	assert_true(has_none("a.test", DNS_TYPE_A));
	put("a.test", DNS_TYPE_A, DNS_ADDRS_MAX, 1, 1);
	assert_true(has("a.test", DNS_TYPE_A, DNS_ADDRS_MAX, 1));
	assert_true(has_none("a.test", DNS_TYPE_AAAA));
	assert_true(has_none("b.test", DNS_TYPE_A));
	put("a.test", DNS_TYPE_AAAA, 0, 0, 2);
	put("a.test", DNS_TYPE_A, 2, 3, 2);
	assert_true(has("a.test", DNS_TYPE_AAAA, 0, 0));
	assert_true(has("a.test", DNS_TYPE_A, 2, 3));
}

static void test_handed_on(void **state)
{
	(void)state;
	put("a.test", DNS_TYPE_A, 3, 1, 1);
	struct host_answers *before = answers;
	int other = memfd_create("other", MFD_CLOEXEC);
	answers = host_answers_open(dup(host_answers_fd(before)));
	assert_non_null(answers);
	assert_true(has("a.test", DNS_TYPE_A, 3, 1));
	host_answers_free(&before);
	assert_null(host_answers_open(other));
	assert_null(host_answers_open(-1));
	close(other);
}

static const char *numbered(unsigned i)
{
	static char name[16];
	snprintf(name, sizeof(name), "n%u.test", i);
	return name;
}

// What was written again is not the oldest.
static void test_the_oldest_goes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROOM; i++)
		put(numbered(i), DNS_TYPE_A, 1, i, 1 + i);
	put(numbered(0), DNS_TYPE_A, 1, 0, 1 + ROOM);
	put("new.test", DNS_TYPE_A, 1, 7, 2 + ROOM);
	assert_true(has("new.test", DNS_TYPE_A, 1, 7));
	assert_true(has_none(numbered(1), DNS_TYPE_A));
	for (unsigned i = 0; i < ROOM; i++)
		check(str_of(numbered(i)), i == 1 || has(numbered(i), DNS_TYPE_A, 1, i & 0xff));
}

// Each of its own length; dies in the middle.
static _Noreturn void write_on(unsigned writer)
{
	for (unsigned round = 0;; round++)
		put("a.test", DNS_TYPE_A, DNS_ADDRS_MAX - writer, 1 + writer, 1 + round);
}

static bool is_of_a_writer(const struct host_answer *found)
{
	for (unsigned i = 0; i < WRITERS; i++)
		if (is_answer(found, DNS_ADDRS_MAX - i, 1 + i))
			return true;
	return false;
}

static void test_many_writers_that_die(void **state)
{
	pid_t pids[WRITERS];
	struct host_answer found;
	unsigned num = 0;
	(void)state;
	for (unsigned i = 0; i < WRITERS; i++)
		if ((pids[i] = fork()) == 0)
			write_on(i);
	for (unsigned i = 0; i < ROUNDS || !num; i++)
		if (host_answers_get(answers, STR("a.test"), DNS_TYPE_A, &found)) {
			assert_true(is_of_a_writer(&found));
			num++;
		}
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(kill(pids[i], SIGKILL), 0);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	}
	put("a.test", DNS_TYPE_A, 5, 99, 1);
	assert_true(has("a.test", DNS_TYPE_A, 5, 99));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, open_answers, close_answers)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_put_and_get),
	    ROW(test_handed_on),
	    ROW(test_the_oldest_goes),
	    ROW(test_many_writers_that_die),
	};
	return cmocka_run_group_tests_name("host_answers", tests, NULL, NULL);
}
