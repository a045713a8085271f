// filter_test.c: behind a filter a process may end itself, and signal nobody else, by
// whatever call.
#include "tests/kit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/server/filter.h"

static const enum filter_kind kinds[] = {FILTER_worker, FILTER_keys, FILTER_metrics};

static int parent; // another process of the same user
static int descriptor;

static bool is_refused(long result)
{
	return result < 0 && errno == EPERM;
}

static bool may_signal_itself(void)
{
	return syscall(SYS_tgkill, getpid(), gettid(), 0) == 0;
}

static bool may_signal_nobody_else(void)
{
	return is_refused(syscall(SYS_tgkill, parent, parent, 0)) &&
	       is_refused(syscall(SYS_tkill, parent, 0)) && is_refused(kill(parent, 0)) &&
	       is_refused(kill(-1, 0)) && is_refused(sigqueue(parent, 0, (union sigval){0}));
}

// Whoever owns a descriptor gets a signal of one's choice when bytes come.
static bool may_let_nobody_be_signalled(void)
{
	struct f_owner_ex owner = {F_OWNER_PID, parent};
	return is_refused(fcntl(descriptor, F_SETOWN, parent)) &&
	       is_refused(fcntl(descriptor, F_SETOWN_EX, &owner)) &&
	       is_refused(fcntl(descriptor, F_SETSIG, SIGKILL)) &&
	       is_refused(ioctl(descriptor, FIOSETOWN, &parent)) &&
	       is_refused(ioctl(descriptor, SIOCSPGRP, &parent));
}

static bool may_abort(void)
{
	abort();
}

// How a process that does `work` behind the filter ends, as waitpid says it.
static int run(enum filter_kind kind, bool (*work)(void))
{
	char room[256];
	struct text why = TEXT(room);
	int status;
	parent = getpid();
	descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(descriptor >= 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(filter_enter(kind, &why) && work() ? EXIT_SUCCESS : EXIT_FAILURE);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(descriptor);
	return status;
}

static void test_it_may_signal_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(kinds); i++)
		assert_int_equal(run(kinds[i], may_signal_itself), 0);
}

static void test_it_may_signal_nobody_else(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); // there is no filter
#endif
	for (size_t i = 0; i < NUM(kinds); i++)
		assert_int_equal(run(kinds[i], may_signal_nobody_else), 0);
}

static void test_it_may_let_nobody_be_signalled(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); // there is no filter
#endif
	for (size_t i = 0; i < NUM(kinds); i++)
		assert_int_equal(run(kinds[i], may_let_nobody_be_signalled), 0);
}

static void test_a_bug_ends_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(kinds); i++)
		assert_int_equal(WTERMSIG(run(kinds[i], may_abort)), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_it_may_signal_itself),
	    cmocka_unit_test(test_it_may_signal_nobody_else),
	    cmocka_unit_test(test_it_may_let_nobody_be_signalled),
	    cmocka_unit_test(test_a_bug_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
