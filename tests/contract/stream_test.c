// stream_test.c: proxy/net/stream.h on real connections: bytes in, bytes out,
// pausing, the queue, connecting.  Ends and TLS have files of their own.
//
// What must hold at every callback (no callback before a call returns, events
// once, unconsumed bytes again and first) is checked by the bench throughout.
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/kit/bench.h"
#include "tests/kit/tcp.h"

enum { MUCH = 8 * 1024 * 1024 };

static void check_got(const struct end *end, const char *wanted)
{
	check_str(str_of(wanted), buf_str(&end->got), str_of(wanted));
}

static void test_both_ways(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	end_write(&bench->near, STR("+OK "));
	end_write(&bench->near, STR(""));
	end_write(&bench->near, STR("ready\r\n"));
	end_write(&bench->far, STR("QUIT\r\n"));
	WAIT_UNTIL(bench, bench->far.taken == 11 && bench->near.taken == 6);
	check_got(&bench->far, "+OK ready\r\n");
	check_got(&bench->near, "QUIT\r\n");
	assert_int_equal(stream_queued(&bench->near.stream), 0);
}

static void test_unconsumed_comes_again(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	bench->near.take = take_line;
	end_write(&bench->far, STR("one\r\ntw"));
	WAIT_UNTIL(bench, buf_len(&bench->near.left) == 2);
	assert_true(stream_has_input(&bench->near.stream));
	check_got(&bench->near, "one\r\n");
	end_write(&bench->far, STR("o\r\nthree\r\nfo"));
	WAIT_UNTIL(bench, buf_len(&bench->near.left) == 2 && bench->near.taken > 5);
	check_got(&bench->near, "one\r\ntwo\r\nthree\r\n");
	bench->near.take = NULL;
	end_resume(&bench->near); // offers what is kept, without any news
	WAIT_UNTIL(bench, bench->near.taken == 19);
	check_got(&bench->near, "one\r\ntwo\r\nthree\r\nfo");
	assert_false(stream_has_input(&bench->near.stream));
}

static void test_pause(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	end_pause(&bench->near);
	end_write(&bench->far, STR("abc"));
	bench_settle(bench);
	assert_int_equal(bench->near.offers, 0);
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.taken == 3);
	end_pause(&bench->near);
	end_resume(&bench->near); // a pause that ends at once costs nothing
	end_write(&bench->far, STR("def"));
	WAIT_UNTIL(bench, bench->near.taken == 6);
	check_got(&bench->near, "abcdef");
}

static void test_pause_inside_on_bytes(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	bench->near.take = take_one_and_pause;
	end_write(&bench->far, STR("abcdef"));
	for (unsigned n = 1; n <= 6; n++) {
		WAIT_UNTIL(bench, bench->near.taken == n);
		bench_settle(bench);
		assert_int_equal(bench->near.offers, n);
		end_resume(&bench->near);
	}
	check_got(&bench->near, "abcdef");
}

static void test_accepted_begins_paused(void **state)
{
	struct bench *bench = *state;
	struct tcp_pair pair = tcp_pair(0);
	assert_int_equal(write(pair.a, "abc", 3), 3);
	end_open(&bench->near, pair.b);
	bench_settle(bench);
	assert_int_equal(bench->near.offers, 0);
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.taken == 3);
	close(pair.a);
}

// What a peer sends to somebody who does not consume stays bounded here, and
// nothing of it is lost.
static void test_peer_is_not_read_for_ever(void **state)
{
	static const bool paused[] = {false, true};
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	bench->near.is_pattern = true;
	bench->near.take = take_none;
	end_write_pattern(&bench->far, MUCH);
	for (size_t i = 0; i < NUM(paused); i++) {
		if (paused[i])
			end_pause(&bench->near);
		bench_settle(bench);
		assert_in_range(
		    bench->near.stream.bytes_in, STREAM_KEEP, STREAM_KEEP + NET_CLEAR_SIZE);
		assert_in_range(stream_queued(&bench->far.stream), MUCH / 2, 2 * MUCH);
	}
	bench->near.take = NULL;
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.taken == MUCH);
}

// While paused at most one read is taken in, even when nothing was kept.
static void test_paused_is_read_once(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	bench->near.is_pattern = true;
	uint64_t before = bench->near.stream.bytes_in;
	end_pause(&bench->near);
	end_write_pattern(&bench->far, MUCH);
	bench_settle(bench);
	uint64_t taken_in = bench->near.stream.bytes_in - before;
	assert_in_range(taken_in, 0, NET_RAW_SIZE + NET_CLEAR_SIZE);
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.taken == MUCH);
}

static void test_drained(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	bench->far.is_pattern = true;
	end_pause(&bench->far);
	end_write_pattern(&bench->near, MUCH);
	assert_in_range(stream_queued(&bench->near.stream), MUCH / 2, 2 * MUCH);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_DRAINED], 0);
	end_resume(&bench->far);
	WAIT_UNTIL(bench, bench->far.taken == MUCH);
	WAIT_UNTIL(bench, bench->near.events[STREAM_DRAINED]);
	assert_int_equal(bench->near.events[STREAM_DRAINED], 1);
	assert_in_range(bench->near.stream.bytes_out, MUCH, 2 * MUCH);
}

static void write_more(struct end *end, enum stream_event event)
{
	if (event == STREAM_DRAINED && end->events[STREAM_DRAINED] < 4)
		end_write_pattern(end, 1024 * 1024);
}

// Writing from inside STREAM_DRAINED is how an owner paces itself.
static void test_write_when_drained(void **state)
{
	struct bench *bench = *state;
	bench->small = true;
	bench_join(bench);
	bench->near.heard = write_more;
	end_pause(&bench->far);
	end_write_pattern(&bench->near, 1024 * 1024);
	bench->far.take = take_all_and_pause;
	while (bench->far.taken < 4 * 1024 * 1024) {
		buf_done(&bench->far.got);
		end_resume(&bench->far);
		bench_step(bench, "4 MiB, written in four rounds");
	}
	WAIT_UNTIL(bench, bench->near.events[STREAM_DRAINED] == 4);
}

// What a turn writes leaves at its end, as one.
static void test_turn_ends(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	char room[64];
	end_write(&bench->near, STR("one"));
	end_write(&bench->near, STR("two"));
	assert_int_equal(recv(fd, room, sizeof(room), MSG_DONTWAIT), -1);
	bench_settle(bench);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 6);
	end_write(&bench->near, STR("three"));
	bench_settle(bench);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 5);
	close(fd);
}

// More than a page need not wait.
static void test_much_leaves_at_once(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	static char room[PATTERN_MAX];
	end_write(&bench->near, pattern_at(0, 3000));
	stream_settle(&bench->near.stream);
	assert_int_equal(recv(fd, room, sizeof(room), MSG_DONTWAIT), -1);
	end_write(&bench->near, pattern_at(3000, 3000));
	stream_settle(&bench->near.stream);
	assert_int_equal(recv(fd, room, 6000, MSG_WAITALL), 6000);
	assert_true(str_eq((struct str){room, 6000}, pattern_at(0, 6000)));
	stream_settle(&bench->near.stream); // nothing to settle
	close(fd);
}

// A loop that ends has nothing left to say, though it has no next turn.
static void test_loop_ends(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	char room[64];
	end_pause(&bench->near);
	bench_settle(bench);
	uv_timer_stop(&bench->ticks.uv);
	send(fd, "kept", 4, 0);
	end_write(&bench->near, STR("bye"));
	net_turn(&bench->net);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 3);
	end_write(&bench->near, STR("bye"));
	net_run(&bench->net);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 3);
	timer_set(&bench->ticks, 1);
	close(fd);
}

// What was written as a secret is wiped, though the stream has become an ordinary one.
static void test_secret_is_wiped(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	bench->near.stream.secret = true;
	end_write(&bench->near, STR("PASS hunter2"));
	bench->near.stream.secret = false;
	end_write(&bench->near, STR("STAT"));
	assert_memory_equal(bench->net.corks[0].at, "PASS hunter2STAT", 16);
	bench_settle(bench);
	assert_memory_equal(bench->net.corks[0].at, (char[16]){0}, 16);
	close(fd);
}

// A stream that closes gives back its cork, and the next one has it as new.
static void test_cork_is_given_back(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	struct tcp_pair pair = tcp_pair(0);
	char room[64];
	end_write(&bench->near, STR("one"));
	end_close(&bench->near);
	assert_null(bench->net.corks[0].stream);
	end_open(&bench->far, pair.a);
	end_write(&bench->far, STR("two"));
	bench_settle(bench);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 3);
	assert_int_equal(recv(pair.b, room, sizeof(room), 0), 3);
	assert_memory_equal(room, "two", 3);
	close(fd);
	close(pair.b);
}

// What was written before an end goes out before it, in the same turn.
static void test_turn_ends_with_the_stream(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	char room[64];
	end_write(&bench->near, STR("bye"));
	end_close(&bench->near);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 3);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 0);
	close(fd);
}

enum { CROWD = NET_CORKS + 1 };

static size_t ignore_bytes(struct stream *stream, struct str bytes)
{
	(void)stream;
	return bytes.len;
}

static void count_closed(struct stream *stream, enum stream_event event)
{
	int *closed = stream->context;
	*closed += event == STREAM_CLOSED;
}

// More streams write in a turn than there are corks: those before need not wait.
static void test_crowd(void **state)
{
	static const struct stream_owner owner = {ignore_bytes, count_closed};
	struct bench *bench = *state;
	static struct stream streams[CROWD];
	int fds[CROWD], closed = 0;
	char room[8];
	for (int i = 0; i < CROWD; i++) {
		struct tcp_pair pair = tcp_pair(0);
		fds[i] = pair.b;
		stream_open(&streams[i], &bench->net, pair.a, &owner, &closed);
		stream_write(&streams[i], STR("hello"));
	}
	for (int i = 0; i < NET_CORKS; i++)
		assert_int_equal(recv(fds[i], room, sizeof(room), 0), 5);
	assert_int_equal(recv(fds[NET_CORKS], room, sizeof(room), MSG_DONTWAIT), -1);
	bench_settle(bench);
	assert_int_equal(recv(fds[NET_CORKS], room, sizeof(room), 0), 5);
	for (int i = 0; i < CROWD; i++) {
		stream_close(&streams[i]);
		close(fds[i]);
	}
	WAIT_UNTIL(bench, closed == CROWD);
}

// More than a cork holds, in order, of two streams at a time.
static void test_cork_overflows(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	bench->far.is_pattern = bench->near.is_pattern = true;
	end_write_pattern(&bench->near, 1000);
	end_write(&bench->near, pattern_at(1000, PATTERN_MAX));
	end_write(&bench->near, pattern_at(1000 + PATTERN_MAX, PATTERN_MAX));
	end_write_pattern(&bench->far, 1000);
	WAIT_UNTIL(bench, bench->far.taken == 1000 + 2 * PATTERN_MAX);
	WAIT_UNTIL(bench, bench->near.taken == 1000);
}

// Streams that are read in one turn: the first one's reader answers on another, whose
// peer looks for the answer at each read.
struct readers {
	struct stream streams[2 * NET_READS];
	int fds[2 * NET_READS];
	struct stream *answering;
	int peer;
	int reads, reads_before_answer, closed;
};

static size_t answer_first(struct stream *stream, struct str bytes)
{
	struct readers *readers = stream->context;
	char next;
	if (readers->reads++ == 0)
		stream_write(readers->answering, STR("answer"));
	if (recv(readers->peer, &next, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		readers->reads_before_answer++;
	return bytes.len;
}

static void count_reader_closed(struct stream *stream, enum stream_event event)
{
	struct readers *readers = stream->context;
	readers->closed += event == STREAM_CLOSED;
}

static void open_reader(struct readers *readers, struct bench *bench, int i)
{
	static const struct stream_owner owner = {answer_first, count_reader_closed};
	struct tcp_pair pair = tcp_pair(0);
	readers->fds[i] = pair.b;
	stream_open(&readers->streams[i], &bench->net, pair.a, &owner, readers);
	stream_resume(&readers->streams[i]);
	assert_int_equal(write(pair.b, "x", 1), 1);
}

// An answer does not wait for all who have sent something, though they say nothing.
static void test_many_reads(void **state)
{
	struct bench *bench = *state;
	static struct readers readers;
	readers = (struct readers){.peer = bench_join_socket(bench)};
	readers.answering = &bench->near.stream;
	for (int i = 0; i < 2 * NET_READS; i++)
		open_reader(&readers, bench, i);
	WAIT_UNTIL(bench, readers.reads == 2 * NET_READS);
	assert_int_equal(readers.reads_before_answer, NET_READS);
	for (int i = 0; i < 2 * NET_READS; i++) {
		stream_close(&readers.streams[i]);
		close(readers.fds[i]);
	}
	WAIT_UNTIL(bench, readers.closed == 2 * NET_READS);
	close(readers.peer);
}

static void test_refused(void **state)
{
	struct bench *bench = *state;
	struct addr addr = tcp_deaf_addr();
	end_connect(&bench->near, &addr);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	assert_string_equal(bench->near.error, "connection refused");
	end_write(&bench->near, STR("nobody reads this"));
	end_finish(&bench->near);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_FAILED], 1);
	assert_int_equal(bench->near.events[STREAM_CONNECTED], 0);
}

// An address that the kernel refuses at once is told from the loop as well.
static void test_refused_at_once(void **state)
{
	struct bench *bench = *state;
	struct addr addr;
	assert_true(addr_parse(STR("255.255.255.255:110"), 0, &addr));
	end_connect(&bench->near, &addr);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	assert_int_equal(bench->near.events[STREAM_CONNECTED], 0);
}

static void test_close_while_connecting(void **state)
{
	static void (*const ways[])(struct end *) = {end_close, end_abort, end_close_gently};
	struct bench *bench = *state;
	struct addr addr;
	int listening = tcp_listen(&addr);
	for (size_t i = 0; i < NUM(ways); i++) {
		struct end *end = &bench->near;
		*end = (struct end){.bench = bench};
		end_connect(end, &addr);
		ways[i](end);
		WAIT_UNTIL(bench, end->events[STREAM_CLOSED]);
		assert_int_equal(end->events[STREAM_CONNECTED], 0);
	}
	close(listening);
}

// What is written while connecting goes out once there is a connection.
static void test_write_while_connecting(void **state)
{
	struct bench *bench = *state;
	struct addr addr;
	char room[64];
	int listening = tcp_listen(&addr);
	end_connect(&bench->near, &addr);
	end_write(&bench->near, STR("USER "));
	end_write(&bench->near, STR("anna\r\n"));
	WAIT_UNTIL(bench, bench->near.events[STREAM_DRAINED]);
	assert_int_equal(bench->near.events[STREAM_CONNECTED], 1);
	int fd = tcp_accept(listening);
	assert_int_equal(recv(fd, room, 11, MSG_WAITALL), 11);
	assert_memory_equal(room, "USER anna\r\n", 11);
	close(fd);
	close(listening);
}

static void test_open_refused(void **state)
{
	struct bench *bench = *state;
	end_open(&bench->near, -1);
	assert_non_null(stream_error(&bench->near.stream));
	end_close(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALL_ROWS(test_both_ways),
	    ALL_ROWS(test_unconsumed_comes_again),
	    ALL_ROWS(test_pause),
	    ALL_ROWS(test_pause_inside_on_bytes),
	    ROW(test_accepted_begins_paused, clear_accepting),
	    ALL_ROWS(test_peer_is_not_read_for_ever),
	    ALL_ROWS(test_paused_is_read_once),
	    ALL_ROWS(test_drained),
	    ALL_ROWS(test_write_when_drained),
	    CLEAR_ROWS(test_turn_ends),
	    CLEAR_ROWS(test_much_leaves_at_once),
	    CLEAR_ROWS(test_turn_ends_with_the_stream),
	    CLEAR_ROWS(test_loop_ends),
	    CLEAR_ROWS(test_secret_is_wiped),
	    CLEAR_ROWS(test_cork_is_given_back),
	    ROW(test_crowd, clear_accepting),
	    ROW(test_many_reads, clear_accepting),
	    ALL_ROWS(test_cork_overflows),
	    ROW(test_refused, clear_connecting),
	    ROW(test_refused_at_once, clear_connecting),
	    ROW(test_close_while_connecting, clear_connecting),
	    ROW(test_write_while_connecting, clear_connecting),
	    ROW(test_open_refused, clear_accepting),
	};
	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
