// tickets_test.c: keys are found by name for as long as they shall open tickets, and
// never in pieces, whatever the writer does meanwhile; who may only read can do nothing
// else.
#include "proxy/net/tickets.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/check.h"

enum { READERS = 3, ROTATIONS = 20000 };

static struct tickets *tickets;

static int open_tickets(void **state)
{
	(void)state;
	tickets = tickets_new();
	return tickets ? 0 : -1;
}

static int close_tickets(void **state)
{
	(void)state;
	tickets_free(&tickets);
	assert_null(tickets);
	return 0;
}

// All bytes of it say which it is.
static struct ticket_key key_of(unsigned number)
{
	struct ticket_key key;
	for (size_t i = 0; i < sizeof(key); i += sizeof(number))
		memcpy((char *)&key + i, &number, sizeof(number));
	return key;
}

static bool is_key(const struct ticket_key *found, unsigned number)
{
	struct ticket_key wanted = key_of(number);
	return memcmp(found, &wanted, sizeof(wanted)) == 0;
}

static size_t add(unsigned number)
{
	struct ticket_key key = key_of(number);
	return tickets_add(tickets, &key, false, number);
}

static bool has(unsigned number, uint64_t now_ms)
{
	struct ticket_key wanted = key_of(number), found;
	return tickets_find(tickets, wanted.name, now_ms, &found) && is_key(&found, number);
}

static bool is_current(unsigned number)
{
	struct ticket_key found;
	tickets_current(tickets, &found);
	return is_key(&found, number);
}

static void test_a_key_opens_until_its_time(void **state)
{
	(void)state;
	assert_int_equal(tickets_current_slot(tickets), TICKETS_SLOTS);
	assert_false(has(0, 0)); // what was never filled is no key of zeroes
	size_t first = add(1);
	tickets_make_current(tickets, first);
	assert_true(is_current(1) && has(1, 1) && !has(2, 1));
	size_t second = add(2);
	assert_true(is_current(1) && has(2, 1));
	tickets_make_current(tickets, second);
	tickets_keep_until(tickets, first, 100);
	assert_true(is_current(2) && has(1, 99) && !has(1, 100) && has(2, UINT64_MAX - 1));
	tickets_drop(tickets, first);
	assert_false(has(1, 99) || tickets_slot(tickets, first).is_used);
	assert_int_equal(add(3), first);
}

static void test_what_the_writer_knows(void **state)
{
	struct ticket_key key = key_of(7);
	(void)state;
	size_t slot = tickets_add(tickets, &key, true, 1234);
	struct ticket_slot found = tickets_slot(tickets, slot);
	assert_true(found.is_used && found.is_given);
	assert_int_equal(found.since_ms, 1234);
	assert_true(found.until_ms == TICKET_KEY_FOREVER);
	assert_int_equal(tickets_slot_of(tickets, key.name), slot);
	key = key_of(8);
	assert_int_equal(tickets_slot_of(tickets, key.name), TICKETS_SLOTS);
}

// More keys than the configuration can ask for: the one with least time left goes.
static void test_room_is_made(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TICKETS_SLOTS; i++) {
		size_t slot = add(i);
		tickets_keep_until(tickets, slot, i == 5 ? 10 : 1000 + i);
	}
	tickets_make_current(tickets, 5);
	assert_int_equal(add(100), 0);
	assert_true(has(100, 1) && has(5, 1) && !has(0, 1) && has(1, 1));
}

static void test_handed_on(void **state)
{
	struct tickets *before = tickets;
	int other = memfd_create("other", MFD_CLOEXEC);
	(void)state;
	tickets_make_current(tickets, add(1));
	tickets = tickets_open(dup(tickets_fd(before)));
	assert_non_null(tickets);
	assert_true(is_current(1));
	size_t slot = add(2);
	tickets_make_current(before, slot);
	assert_true(is_current(2));
	tickets_free(&before);
	assert_null(tickets_open(other));
	assert_null(tickets_open(-1));
	close(other);
}

// Dies of a write.
static void test_a_reader_cannot_write(void **state)
{
	int status;
	(void)state;
	tickets_make_current(tickets, add(1));
	pid_t pid = fork();
	if (pid == 0) {
		bool reads = tickets_be_reader(tickets) && is_current(1) && has(1, 1) &&
		             tickets_fd(tickets) < 0;
		if (!reads)
			_exit(1);
		signal(SIGSEGV, SIG_DFL); // not cmocka's
		tickets_make_current(tickets, 1);
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_true(is_current(1));
}

// What readers of another mapping see while keys come and go, in far fewer slots than
// there are: each soon holds another key.
static struct tickets *seen;
static _Atomic unsigned latest;
static _Atomic bool over;

static void *read_on(void *context)
{
	size_t *num = context;
	while (!atomic_load(&over)) {
		struct ticket_key key, wanted = key_of(atomic_load(&latest));
		unsigned number;
		tickets_current(seen, &key);
		memcpy(&number, key.name, sizeof(number));
		if (!number || !is_key(&key, number))
			return NULL;
		if (tickets_find(seen, wanted.name, 1, &key) &&
		    memcmp(&key, &wanted, sizeof(key)) != 0)
			return NULL;
		++*num;
	}
	return context;
}

static void rotate(unsigned number)
{
	size_t before = tickets_current_slot(tickets);
	tickets_make_current(tickets, add(number));
	atomic_store(&latest, number);
	if (before < TICKETS_SLOTS)
		tickets_drop(tickets, before);
}

static void test_readers_see_whole_keys(void **state)
{
	pthread_t threads[READERS];
	size_t nums[READERS] = {0};
	(void)state;
	rotate(1);
	atomic_store(&over, false);
	seen = tickets_open(dup(tickets_fd(tickets)));
	assert_non_null(seen);
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &nums[i]), 0);
	for (unsigned i = 2; i < ROTATIONS; i++)
		rotate(i);
	atomic_store(&over, true);
	for (size_t i = 0; i < READERS; i++) {
		void *result;
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, &nums[i]);
	}
	tickets_free(&seen);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, open_tickets, close_tickets)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_a_key_opens_until_its_time),
	    ROW(test_what_the_writer_knows),
	    ROW(test_room_is_made),
	    ROW(test_handed_on),
	    ROW(test_a_reader_cannot_write),
	    ROW(test_readers_see_whole_keys),
	};
	return cmocka_run_group_tests_name("tickets", tests, NULL, NULL);
}
