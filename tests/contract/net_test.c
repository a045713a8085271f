// net_test.c: proxy/net/net.h and timer.h: tasks run from the loop, once for
// each time they are asked for, in order, and starve nobody; a timer is due
// once, not before its time, and never after it was cleared or closed.
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/text.h"
#include "tests/kit/bench.h"

// A task that writes its name down, and may do something to another one.
struct job {
	struct net_task task;
	struct net *net;
	char name;
	unsigned again; // asks for itself so often
	struct job *cancels, *defers;
};

static char ran_room[64];
static struct text ran;

static void run_job(struct net_task *task)
{
	struct job *job = (struct job *)task;
	text_add_char(&ran, job->name);
	if (job->cancels)
		net_cancel(job->net, &job->cancels->task);
	if (job->defers)
		net_defer(job->net, &job->defers->task);
	if (job->again && job->again--)
		net_defer(job->net, task);
}

static struct job job_of(struct bench *bench, char name)
{
	ran = TEXT(ran_room);
	return (struct job){.task = {.run = run_job}, .net = &bench->net, .name = name};
}

static void turn(struct bench *bench)
{
	uv_run(&bench->net.loop, UV_RUN_NOWAIT);
}

static void test_once_and_in_order(void **state)
{
	struct bench *bench = *state;
	struct job a = job_of(bench, 'a'), b = job_of(bench, 'b'), c = job_of(bench, 'c');
	net_defer(&bench->net, &b.task);
	net_defer(&bench->net, &a.task);
	net_defer(&bench->net, &b.task); // waits already
	net_defer(&bench->net, &c.task);
	assert_string_equal(ran_room, ""); // not before the loop runs
	bench_settle(bench);
	assert_string_equal(ran_room, "bac");
	net_defer(&bench->net, &a.task);
	bench_settle(bench);
	assert_string_equal(ran_room, "baca");
}

static void test_cancel(void **state)
{
	struct bench *bench = *state;
	struct job a = job_of(bench, 'a'), b = job_of(bench, 'b');
	net_cancel(&bench->net, &a.task); // was never asked for
	net_defer(&bench->net, &a.task);
	net_defer(&bench->net, &b.task);
	net_cancel(&bench->net, &a.task);
	net_cancel(&bench->net, &a.task);
	bench_settle(bench);
	assert_string_equal(ran_room, "b");
	net_cancel(&bench->net, &b.task); // is over
	net_defer(&bench->net, &a.task);
	bench_settle(bench);
	assert_string_equal(ran_room, "ba");
	net_defer(&bench->net, &a.task);
	net_cancel(&bench->net, &a.task);
	bench_settle(bench);
	assert_string_equal(ran_room, "ba");
}

static void test_cancel_by_another(void **state)
{
	struct bench *bench = *state;
	struct job a = job_of(bench, 'a'), b = job_of(bench, 'b'), c = job_of(bench, 'c');
	a.cancels = &b;
	c.cancels = &c; // itself, while it runs
	net_defer(&bench->net, &a.task);
	net_defer(&bench->net, &b.task);
	net_defer(&bench->net, &c.task);
	bench_settle(bench);
	assert_string_equal(ran_room, "ac");
	a.cancels = &b;
	a.defers = &b; // cancelled and asked for again: the next turn
	net_defer(&bench->net, &a.task);
	bench_settle(bench);
	assert_string_equal(ran_room, "acab");
}

// What a task asks for runs in the next turn, not in this one.
static void test_again_in_the_next_turn(void **state)
{
	struct bench *bench = *state;
	struct job a = job_of(bench, 'a'), b = job_of(bench, 'b');
	a.again = 2;
	a.defers = &b;
	net_defer(&bench->net, &a.task);
	turn(bench);
	assert_string_equal(ran_room, "a");
	turn(bench);
	assert_string_equal(ran_room, "aba");
	turn(bench);
	assert_string_equal(ran_room, "ababa");
	bench_settle(bench);
	assert_string_equal(ran_room, "ababab");
}

// A task that asks for itself without end does not keep sockets or timers
// waiting.
static void test_starves_nobody(void **state)
{
	struct bench *bench = *state;
	struct job a = job_of(bench, 'a');
	a.again = ~0u;
	bench_join(bench);
	net_defer(&bench->net, &a.task);
	end_write(&bench->far, STR("abc"));
	WAIT_UNTIL(bench, bench->near.taken == 3);
	assert_in_range(~0u - a.again, 1, ~0u - 1);
	net_cancel(&bench->net, &a.task);
}

// A waiting task is something left on the loop: it runs before net_run ends.
static void test_keeps_the_loop(void **state)
{
	struct bench bench = {0};
	struct job a = job_of(&bench, 'a');
	(void)state;
	net_init(&bench.net);
	a.again = 1;
	net_defer(&bench.net, &a.task);
	net_run(&bench.net);
	assert_string_equal(ran_room, "aa");
	net_done(&bench.net);
}

// ---- timers -------------------------------------------------------------

struct alarm {
	struct timer timer;
	unsigned due, closed;
	uint64_t due_at;
	bool again;
};

static void on_due(struct timer *timer)
{
	struct alarm *alarm = (struct alarm *)timer;
	alarm->due++;
	alarm->due_at = uv_now(timer->uv.loop);
	if (alarm->again)
		timer_set(timer, 1);
	alarm->again = false;
}

static void on_closed(struct timer *timer)
{
	struct alarm *alarm = (struct alarm *)timer;
	alarm->closed++;
}

// Waits until a timer is due that was set later and for longer.
static void pass_time(struct bench *bench, uint64_t ms)
{
	struct alarm other = {0};
	timer_init(&other.timer, &bench->net, on_due);
	timer_set(&other.timer, ms);
	WAIT_UNTIL(bench, other.due);
	timer_close(&other.timer, on_closed);
	WAIT_UNTIL(bench, other.closed);
}

static void close_alarm(struct bench *bench, struct alarm *alarm)
{
	timer_close(&alarm->timer, on_closed);
	assert_int_equal(alarm->closed, 0);
	WAIT_UNTIL(bench, alarm->closed);
	assert_int_equal(alarm->closed, 1);
}

static void test_timer(void **state)
{
	struct bench *bench = *state;
	struct alarm alarm = {0};
	timer_init(&alarm.timer, &bench->net, on_due);
	uint64_t start = net_now(&bench->net);
	timer_set(&alarm.timer, 20);
	assert_int_equal(alarm.due, 0);
	WAIT_UNTIL(bench, alarm.due);
	assert_in_range(alarm.due_at - start, 20, UINT64_MAX);
	pass_time(bench, 25);
	assert_int_equal(alarm.due, 1);
	timer_set(&alarm.timer, 0);
	assert_int_equal(alarm.due, 1); // from the loop only
	WAIT_UNTIL(bench, alarm.due == 2);
	close_alarm(bench, &alarm);
}

static void test_timer_moves(void **state)
{
	struct bench *bench = *state;
	struct alarm alarm = {0};
	timer_init(&alarm.timer, &bench->net, on_due);
	timer_set(&alarm.timer, 5);
	timer_set(&alarm.timer, 1000 * 1000);
	pass_time(bench, 10);
	assert_int_equal(alarm.due, 0);
	timer_set(&alarm.timer, 1);
	WAIT_UNTIL(bench, alarm.due);
	alarm.again = true;
	timer_set(&alarm.timer, 1);
	WAIT_UNTIL(bench, alarm.due == 3); // set again from its own callback
	pass_time(bench, 5);
	assert_int_equal(alarm.due, 3);
	close_alarm(bench, &alarm);
}

static void test_timer_moved_is_met(void **state)
{
	struct bench *bench = *state;
	struct alarm alarm = {0};
	timer_init(&alarm.timer, &bench->net, on_due);
	uint64_t start = net_now(&bench->net);
	timer_set(&alarm.timer, 5);
	timer_set(&alarm.timer, 20);
	WAIT_UNTIL(bench, alarm.due);
	assert_in_range(alarm.due_at - start, 20, UINT64_MAX);
	pass_time(bench, 25);
	assert_int_equal(alarm.due, 1);
	close_alarm(bench, &alarm);
}

static void test_timer_cleared(void **state)
{
	struct bench *bench = *state;
	struct alarm alarm = {0};
	timer_init(&alarm.timer, &bench->net, on_due);
	timer_clear(&alarm.timer); // was never set
	timer_set(&alarm.timer, 1);
	timer_clear(&alarm.timer);
	pass_time(bench, 5);
	assert_int_equal(alarm.due, 0);
	timer_set(&alarm.timer, 1);
	close_alarm(bench, &alarm);
	pass_time(bench, 5);
	assert_int_equal(alarm.due, 0);
}

static void test_timer_closed_silently(void **state)
{
	struct bench *bench = *state;
	static struct alarm alarm;
	timer_init(&alarm.timer, &bench->net, on_due);
	timer_close(&alarm.timer, NULL); // nobody wants to know
	bench_settle(bench);
	assert_int_equal(alarm.closed, 0);
}

// Processes that share pages compare their times.
static void test_clock(void **state)
{
	struct bench *bench = *state;
	struct timespec now;
	uv_update_time(&bench->net.loop);
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	assert_in_range(ms - net_now(&bench->net), 0, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_once_and_in_order, clear_accepting),
	    ROW(test_cancel, clear_accepting),
	    ROW(test_cancel_by_another, clear_accepting),
	    ROW(test_again_in_the_next_turn, clear_accepting),
	    ROW(test_starves_nobody, clear_accepting),
	    ROW(test_starves_nobody, secure_accepting),
	    ROW(test_timer, clear_accepting),
	    ROW(test_timer_moves, clear_accepting),
	    ROW(test_timer_moved_is_met, clear_accepting),
	    ROW(test_timer_cleared, clear_accepting),
	    ROW(test_timer_closed_silently, clear_accepting),
	    ROW(test_keeps_the_loop, clear_accepting),
	    ROW(test_clock, clear_accepting),
	};
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
