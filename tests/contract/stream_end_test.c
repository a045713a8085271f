// stream_end_test.c: proxy/net/stream.h on real connections: ends, half-closes,
// failures, and the three ways to close.
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/kit/bench.h"
#include "tests/kit/tcp.h"

enum { MUCH = 8 * 1024 * 1024 };

static void test_end_comes_after_bytes(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	end_pause(&bench->near);
	end_write(&bench->far, STR("last"));
	end_finish(&bench->far);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_ENDED], 0);
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	assert_int_equal(bench->near.taken_at_end, 4);
}

// A pause inside on_bytes holds the end back as it holds bytes back.
static void test_end_waits_for_each_byte(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	bench->near.take = take_one_and_pause;
	end_write(&bench->far, STR("abcdef"));
	end_finish(&bench->far);
	for (unsigned n = 1; n <= 6; n++) {
		WAIT_UNTIL(bench, bench->near.taken == n);
		bench_settle(bench);
		assert_int_equal(bench->near.events[STREAM_ENDED], 0);
		end_resume(&bench->near);
	}
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	assert_int_equal(bench->near.taken_at_end, 6);
}

// An end with half a line before it is told too: the other half never comes.
static void test_end_in_a_line(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	bench->near.take = take_line;
	end_write(&bench->far, STR("QUIT\r\nNO"));
	end_finish(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	assert_int_equal(bench->near.taken_at_end, 6);
	assert_true(stream_has_input(&bench->near.stream));
}

static bool was_at_end;

static size_t take_and_ask(struct end *end, struct str bytes)
{
	assert_false(was_at_end);
	was_at_end = stream_is_at_end(&end->stream);
	return bytes.len;
}

// Where bytes and the end are here together, they can be told to be the last;
// and no others.
static void test_last_bytes_are_known(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	was_at_end = false;
	bench->near.take = take_and_ask;
	end_write(&bench->far, STR("first"));
	WAIT_UNTIL(bench, bench->near.taken == 5);
	assert_false(was_at_end);
	end_pause(&bench->near);
	end_write(&bench->far, STR("kept"));
	WAIT_UNTIL(bench, stream_has_input(&bench->near.stream)); // and reads no more
	end_write(&bench->far, STR("last"));
	end_finish(&bench->far);
	bench_settle(bench);
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	assert_true(was_at_end);
	assert_int_equal(bench->near.taken_at_end, 13);
	assert_int_equal(bench->near.offers, 3);
}

// A client that sends RETR 1, QUIT and its end still gets its whole message.
static void test_half_close(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	bench->near.is_pattern = true;
	end_write(&bench->near, STR("RETR 1\r\nQUIT\r\n"));
	end_finish(&bench->near);
	end_finish(&bench->near);
	end_write(&bench->near, STR("nothing after the end"));
	WAIT_UNTIL(bench, bench->far.events[STREAM_ENDED]);
	assert_int_equal(bench->far.taken_at_end, 14);
	assert_false(bench->far.stream.truncated);
	end_write_pattern(&bench->far, MUCH);
	end_finish(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	assert_int_equal(bench->near.taken_at_end, MUCH);
	assert_false(bench->near.stream.truncated);
	assert_int_equal(bench->near.events[STREAM_FAILED], 0);
	assert_int_equal(bench->far.events[STREAM_FAILED], 0);
}

// The end goes out behind the queue, however long that is.
static void test_finish_behind_queue(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	bench->far.is_pattern = true;
	end_pause(&bench->far);
	end_write_pattern(&bench->near, MUCH);
	end_finish(&bench->near);
	end_resume(&bench->far);
	WAIT_UNTIL(bench, bench->far.events[STREAM_ENDED]);
	assert_int_equal(bench->far.taken_at_end, MUCH);
	assert_false(bench->far.stream.truncated);
	end_write(&bench->far, STR("thanks"));
	WAIT_UNTIL(bench, bench->near.taken == 6);
}

// Joins the ends through a middle and waits until they can talk.
static struct middle join_middle(struct bench *bench)
{
	struct middle middle = bench_join_middle(bench);
	while (bench->wiring->secure &&
	       !(bench->near.events[STREAM_SECURED] && bench->far.events[STREAM_SECURED]))
		middle_carry(bench, &middle, 4096, 0);
	while (middle_carry(bench, &middle, 4096, 0))
		;
	return middle;
}

// A FIN without close_notify ends the direction it is for and no other; under
// TLS it is told apart (RFC 8446 section 6.1: it may be an attacker's).
static void test_bare_fin(void **state)
{
	struct bench *bench = *state;
	struct middle middle = join_middle(bench);
	end_write(&bench->far, STR("before"));
	while (bench->near.taken < 6)
		middle_carry(bench, &middle, 4096, 0);
	shutdown(middle.near, SHUT_WR);
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	assert_int_equal(bench->near.taken_at_end, 6);
	assert_int_equal(bench->near.stream.truncated, bench->wiring->secure);
	end_write(&bench->near, STR("still here"));
	end_finish(&bench->near);
	while (!bench->far.events[STREAM_ENDED] && bench->far.taken < 10)
		middle_carry(bench, &middle, 4096, 0);
	check_str(STR("far"), buf_str(&bench->far.got), STR("still here"));
	assert_int_equal(bench->near.events[STREAM_FAILED], 0);
	middle_close(&middle);
}

// Several MiB to a slow reader all arrive, and the end in good order.
static void test_close_gently(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	bench->far.is_pattern = true;
	bench->far.take = take_all_and_pause;
	end_pause(&bench->far);
	end_write_pattern(&bench->near, MUCH);
	end_close_gently(&bench->near);
	end_close_gently(&bench->near);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_CLOSED], 0);
	while (!bench->far.events[STREAM_ENDED]) {
		end_resume(&bench->far);
		bench_step(bench, "a slow reader's end");
	}
	assert_int_equal(bench->far.taken_at_end, MUCH);
	assert_false(bench->far.stream.truncated);
	assert_int_equal(bench->far.events[STREAM_FAILED], 0);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
}

static void test_close_gently_when_idle(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	end_close_gently(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED] && bench->far.events[STREAM_ENDED]);
	assert_false(bench->far.stream.truncated);
}

// A last word, said from inside on_bytes, arrives.
static size_t take_and_say_bye(struct end *end, struct str bytes)
{
	end_write(end, STR("+OK Bye.\r\n"));
	end_close_gently(end);
	return bytes.len;
}

static void test_close_gently_inside_on_bytes(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	bench->near.take = take_and_say_bye;
	end_write(&bench->far, STR("QUIT\r\n"));
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED] && bench->far.events[STREAM_ENDED]);
	check_str(STR("bye"), buf_str(&bench->far.got), STR("+OK Bye.\r\n"));
	assert_false(bench->far.stream.truncated);
}

// A peer that goes away ends a gentle close as well.
static void test_close_gently_to_nobody(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	end_pause(&bench->far);
	end_write_pattern(&bench->near, MUCH);
	end_close_gently(&bench->near);
	bench_settle(bench);
	end_abort(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
}

// A ruder call overrules: the queue is lost and nobody waits for it.
static void test_ruder_overrules(void **state)
{
	static void (*const ways[])(struct end *) = {end_close, end_abort};
	struct bench *bench = *state;
	size_t way = bench->wiring->near_accepts;
	bench->small = true;
	bench_join(bench);
	bench->far.is_pattern = true;
	end_pause(&bench->far);
	end_write_pattern(&bench->near, MUCH);
	end_close_gently(&bench->near);
	bench_settle(bench);
	ways[way](&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	end_resume(&bench->far);
	WAIT_UNTIL(bench, bench->far.events[STREAM_ENDED] || bench->far.events[STREAM_FAILED]);
	assert_in_range(bench->far.taken, 0, MUCH - 1);
}

static void test_abort_is_a_reset(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	end_abort(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED] && bench->far.events[STREAM_FAILED]);
	assert_string_equal(bench->far.error, "connection reset by peer");
	assert_int_equal(bench->far.events[STREAM_ENDED], 0);
}

// After a half-close too: the peer must not take what it has for all.
static void test_abort_after_finish(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	end_finish(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	end_write(&bench->near, STR("half a mess"));
	end_abort(&bench->near);
	WAIT_UNTIL(bench, bench->far.events[STREAM_FAILED] || bench->far.events[STREAM_ENDED]);
	assert_int_equal(bench->far.events[STREAM_ENDED], 0);
}

static void test_failure_is_told_once(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	int fd = bench_join_socket(bench);
	end_write_pattern(&bench->near, MUCH); // reading and writing will both fail
	bench_settle(bench);
	tcp_reset(fd);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	end_write(&bench->near, STR("more"));
	end_finish(&bench->near);
	end_pause(&bench->near);
	end_resume(&bench->near);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_FAILED], 1);
	assert_int_equal(bench->near.events[STREAM_ENDED], 0);
	assert_int_equal(bench->near.events[STREAM_CLOSED], 0);
	end_close(&bench->near);
	end_abort(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
}

// A failure that a write meets first is told from the loop, once.
static void test_failure_met_by_writing(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	tcp_reset(fd);
	end_write(&bench->near, STR("one"));
	end_write(&bench->near, STR("two"));
	assert_int_equal(bench->near.events[STREAM_FAILED], 0);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_FAILED], 1);
}

static void test_gentle_after_failure(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	int fd = bench_join_socket(bench);
	end_write_pattern(&bench->near, MUCH);
	tcp_reset(fd);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	end_close_gently(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
}

// A client that goes away while it waits for its login is noticed.
static void test_reset_while_paused(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	end_pause(&bench->near);
	bench_settle(bench);
	end_abort(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	assert_string_equal(bench->near.error, "connection reset by peer");
}

// Kept bytes, an end not yet told, a queue and a task: closing drops them all.
static void test_silence_after_closing(void **state)
{
	static void (*const ways[])(struct end *) = {end_close, end_abort};
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	end_pause(&bench->near);
	end_write(&bench->far, STR("kept"));
	end_finish(&bench->far);
	end_pause(&bench->far);
	end_write_pattern(&bench->near, MUCH);
	bench_settle(bench);
	end_resume(&bench->near);
	ways[bench->wiring->near_accepts](&bench->near);
	end_resume(&bench->near);
	end_write(&bench->near, STR("nobody"));
	end_finish(&bench->near);
	end_close(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	bench_settle(bench);
	assert_int_equal(bench->near.offers, 0);
	assert_int_equal(bench->near.events[STREAM_ENDED], 0);
}

static size_t take_one_and_close(struct end *end, struct str bytes)
{
	(void)bytes;
	end_close(end);
	return 1;
}

static void test_close_inside_on_bytes(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	bench->near.take = take_one_and_close;
	end_write(&bench->far, STR("abcdef"));
	end_finish(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	assert_int_equal(bench->near.offers, 1);
}

// The event at which the near end closes itself, in `heard`.
static enum stream_event fatal_event;

static void close_when_heard(struct end *end, enum stream_event event)
{
	if (event == fatal_event)
		end_close(end);
}

static void test_close_inside_ended(void **state)
{
	struct bench *bench = *state;
	fatal_event = STREAM_ENDED;
	bench_join(bench);
	bench->near.heard = close_when_heard;
	end_write(&bench->far, STR("last"));
	end_finish(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	assert_int_equal(bench->near.taken, 4);
}

static void test_close_inside_drained(void **state)
{
	struct bench *bench = *state;
	fatal_event = STREAM_DRAINED;
	bench->small = true;
	bench_join(bench);
	bench->near.heard = close_when_heard;
	bench->far.is_pattern = true;
	end_write_pattern(&bench->near, MUCH);
	end_write(&bench->far, STR("more to come"));
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	WAIT_UNTIL(bench, bench->far.taken == MUCH);
}

static void test_close_inside_failed(void **state)
{
	struct bench *bench = *state;
	fatal_event = STREAM_FAILED;
	bench_join(bench);
	bench->near.heard = close_when_heard;
	end_abort(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	assert_int_equal(bench->near.events[STREAM_FAILED], 1);
}

static void test_close_inside_connected(void **state)
{
	struct bench *bench = *state;
	struct addr addr;
	int listening = tcp_listen(&addr);
	fatal_event = STREAM_CONNECTED;
	bench->near.heard = close_when_heard;
	end_connect(&bench->near, &addr);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	close(listening);
}

static void test_close_inside_secured(void **state)
{
	struct bench *bench = *state;
	fatal_event = STREAM_SECURED;
	bench_join_clear(bench);
	bench->near.heard = close_when_heard;
	end_secure(&bench->near);
	end_secure(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	assert_int_equal(bench->near.events[STREAM_SECURED], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALL_ROWS(test_end_comes_after_bytes),
	    ALL_ROWS(test_end_waits_for_each_byte),
	    ALL_ROWS(test_end_in_a_line),
	    ALL_ROWS(test_last_bytes_are_known),
	    ALL_ROWS(test_half_close),
	    ALL_ROWS(test_finish_behind_queue),
	    ALL_ROWS(test_bare_fin),
	    ALL_ROWS(test_close_gently),
	    ALL_ROWS(test_close_gently_when_idle),
	    ALL_ROWS(test_close_gently_inside_on_bytes),
	    ALL_ROWS(test_close_gently_to_nobody),
	    ALL_ROWS(test_ruder_overrules),
	    ALL_ROWS(test_abort_is_a_reset),
	    ALL_ROWS(test_abort_after_finish),
	    CLEAR_ROWS(test_failure_is_told_once),
	    CLEAR_ROWS(test_failure_met_by_writing),
	    CLEAR_ROWS(test_gentle_after_failure),
	    ALL_ROWS(test_reset_while_paused),
	    ALL_ROWS(test_silence_after_closing),
	    ALL_ROWS(test_close_inside_on_bytes),
	    ALL_ROWS(test_close_inside_ended),
	    ALL_ROWS(test_close_inside_drained),
	    ALL_ROWS(test_close_inside_failed),
	    ROW(test_close_inside_connected, clear_connecting),
	    SECURE_ROWS(test_close_inside_secured),
	};
	return cmocka_run_group_tests_name("stream's ends", tests, NULL, NULL);
}
