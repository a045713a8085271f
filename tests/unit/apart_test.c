// apart_test.c: every way in which the work's process may end, and that the
// caller always hears of it and leaves nothing behind.
#include "tests/kit/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/apart.h"

enum { WHY = 256, PLENTY = 30, MIB = 1024 * 1024 };

static int *shared;

static int map_shared(void **state)
{
	(void)state;
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED;
}

static int unmap_shared(void **state)
{
	(void)state;
	return munmap(shared, sizeof(*shared));
}

static bool run(apart_fn *work, unsigned seconds, char why_room[WHY])
{
	struct text why = text_in(why_room, WHY);
	bool done = apart_run(work, shared, seconds, &why);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return done;
}

static void expect_why(apart_fn *work, unsigned seconds, const char *part)
{
	char why[WHY];
	assert_false(run(work, seconds, why));
	if (!strstr(why, part))
		check_str(str_of(part), str_of(why), str_of(part));
}

static bool do_well(void *context, struct text *why)
{
	(void)why;
	*(int *)context = getpid();
	return true;
}

static void test_done(void **state)
{
	char why[WHY];
	(void)state;
	assert_true(run(do_well, PLENTY, why));
	assert_string_equal(why, "");
	assert_int_not_equal(*shared, 0);
	assert_int_not_equal(*shared, getpid());
}

static bool say_no(void *context, struct text *why)
{
	(void)context;
	text_addf(why, "no, and %d times no", 3);
	return false;
}

static bool crash(void *context, struct text *why)
{
	(void)context;
	(void)why;
	signal(SIGABRT, SIG_DFL);
	return raise(SIGABRT) == 0;
}

static bool leave(void *context, struct text *why)
{
	(void)context;
	(void)why;
	_exit(3);
}

static void test_refused(void **state)
{
	(void)state;
	expect_why(say_no, PLENTY, "no, and 3 times no");
	expect_why(crash, PLENTY,
	    "it is damaged: the process that read it was killed by signal 6 (Aborted)");
	expect_why(leave, PLENTY, "it is damaged: the process that read it ended with status 3");
}

// As one does that waits for a server: no processor's time passes.
static bool sleep_on(void *context, struct text *why)
{
	(void)context;
	(void)why;
	int answer;
	do
		answer = pause();
	while (answer < 0);
	return true;
}

static bool turn_on(void *context, struct text *why)
{
	(void)why;
	volatile unsigned *turns = context;
	while (++*turns)
		*turns = 1;
	return true;
}

static void test_endless(void **state)
{
	(void)state;
	expect_why(sleep_on, 1, "reading it was not done after 1 seconds: it is damaged, or the");
	expect_why(turn_on, 1, "reading it ");
}

static bool take_memory(void *context, struct text *why)
{
	(void)why;
	for (int i = 0; i < 4 * 1024; i++) {
		if (mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return true;
		*(int *)context = i;
	}
	return true;
}

// Sanitizers have so much memory of their own that none is limited.
static void test_memory(void **state)
{
	char why[WHY];
	(void)state;
	assert_true(run(take_memory, PLENTY, why));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	assert_int_equal(*shared, 4 * 1024 - 1);
#else
	assert_in_range(*shared, 1000, 1024);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_done),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_endless),
	    cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests_name("apart", tests, map_shared, unmap_shared);
}
