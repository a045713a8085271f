// pump_test.c: proxy/net/pump.h on real connections: a relay of two pumps
// between a client and a store keeps content intact, its queues short, and
// each direction's end to itself.
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/net/pump.h"
#include "tests/kit/bench.h"
#include "tests/kit/tcp.h"

enum {
	MARK = 256 * 1024,
	BUFFER = NET_CLEAR_SIZE, // what one read brings at most
	DOWN = 64 * 1024 * 1024,
	UP = 4 * 1024 * 1024,
	MUCH = 8 * 1024 * 1024,
	ROOM = 256 * 1024, // the kernel's
	PIECE = 32 * 1024,
};

// One side of the relay, and the pump that it feeds.
struct side {
	struct stream stream;
	struct side *other;
	struct pump pump; // from this side to the other one
	size_t most_held; // queued on the other side and kept on this one, at worst
	bool connected, secured, failed, closed;
};

// Client and store are the bench's near and far end, the relay is in between.
struct relay {
	struct bench *bench;
	struct side client, store;
};

static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct side *side = stream->context;
	size_t used = pump_bytes(&side->pump, bytes);
	size_t held = stream_queued(&side->other->stream) + buf_len(&stream->kept);
	side->most_held = held > side->most_held ? held : side->most_held;
	return used;
}

static void on_event(struct stream *stream, enum stream_event event)
{
	struct side *side = stream->context;
	switch (event) {
	case STREAM_CONNECTED: side->connected = true; break;
	case STREAM_SECURED: side->secured = true; break;
	case STREAM_ENDED: pump_end(&side->pump); break;
	case STREAM_DRAINED: pump_drained(&side->other->pump); break;
	case STREAM_FAILED: side->failed = true; break;
	case STREAM_CLOSED: side->closed = true; break;
	}
}

static const struct stream_owner owner = {on_bytes, on_event};

// Opens one end and the side that faces it, on a connection of their own.
static void join(struct end *end, struct side *side)
{
	struct tcp_pair pair = tcp_pair(ROOM);
	end_open(end, pair.b); // what it does not take stays with the relay
	assert_true(stream_open(&side->stream, &end->bench->net, pair.a, &owner, side));
}

// The relay is the server of the client and a client of the store.
static void secure(struct relay *relay)
{
	struct bench *bench = relay->bench;
	stream_secure_server(&relay->client.stream, bench->server, NULL);
	stream_secure_client(&relay->store.stream, bench->client, "pop.test");
	stream_secure_client(&bench->near.stream, bench->client, "pop.test");
	stream_secure_server(&bench->far.stream, bench->server, NULL);
	WAIT_UNTIL(bench, relay->client.secured && relay->store.secured &&
	                      bench->near.events[STREAM_SECURED] &&
	                      bench->far.events[STREAM_SECURED]);
}

// The relay of the running test; closed by its teardown.
static struct relay the_relay;

static struct relay *relay_open(struct bench *bench)
{
	struct relay *relay = &the_relay;
	*relay = (struct relay){.bench = bench};
	relay->client.other = &relay->store;
	relay->store.other = &relay->client;
	join(&bench->near, &relay->client);
	join(&bench->far, &relay->store);
	relay->client.pump = pump_between(&relay->client.stream, &relay->store.stream, MARK);
	relay->store.pump = pump_between(&relay->store.stream, &relay->client.stream, MARK);
	relay->client.stream.read_max = relay->store.stream.read_max = NET_RAW_SIZE;
	if (bench->wiring->secure)
		secure(relay);
	end_resume(&bench->near);
	end_resume(&bench->far);
	stream_resume(&relay->client.stream);
	stream_resume(&relay->store.stream);
	return relay;
}

static int teardown(void **state)
{
	if (the_relay.bench) {
		stream_close(&the_relay.client.stream);
		stream_close(&the_relay.store.stream);
		bench_settle(the_relay.bench);
		assert_true(the_relay.client.closed && the_relay.store.closed);
	}
	the_relay = (struct relay){0};
	return bench_close(state);
}

// Keeps an end's own queue filled up to a total, then ends its direction.
static void feed(struct end *end, uint64_t *sent, uint64_t total)
{
	while (*sent < total && stream_queued(&end->stream) < PIECE) {
		end_write(end, pattern_at(*sent, PIECE));
		*sent += PIECE;
	}
	if (*sent == total)
		end_finish(end);
}

static void test_much_both_ways(void **state)
{
	struct bench *bench = *state;
	struct relay *relay = relay_open(bench);
	uint64_t down = 0, up = 0;
	bench->near.is_pattern = bench->far.is_pattern = true;
	bench->near.take = take_all_and_pause; // reads when the relay is full
	while (!bench->near.events[STREAM_ENDED] || !bench->far.events[STREAM_ENDED]) {
		feed(&bench->far, &down, DOWN);
		feed(&bench->near, &up, UP);
		if (relay->store.stream.paused || relay->store.pump.ended)
			end_resume(&bench->near);
		bench_step(bench, "all bytes both ways");
	}
	assert_int_equal(bench->near.taken_at_end, DOWN);
	assert_int_equal(bench->far.taken_at_end, UP);
	assert_int_equal(relay->store.pump.bytes, DOWN);
	assert_int_equal(relay->client.pump.bytes, UP);
	assert_in_range(relay->store.most_held, MARK / 2, MARK + 2 * BUFFER); // it did fill up
	assert_in_range(relay->client.most_held, 0, MARK + 2 * BUFFER);
	assert_false(bench->near.stream.truncated || bench->far.stream.truncated);
}

// While the client reads nothing, the store is not read beyond the mark.
static void test_stops_reading(void **state)
{
	struct bench *bench = *state;
	struct relay *relay = relay_open(bench);
	bench->near.is_pattern = true;
	end_pause(&bench->near);
	end_write_pattern(&bench->far, MUCH);
	bench_settle(bench);
	WAIT_UNTIL(bench, relay->store.stream.paused);
	bench_settle(bench);
	uint64_t read = relay->store.pump.bytes;
	assert_in_range(read, MARK / 2, MUCH / 2);
	bench_settle(bench);
	assert_int_equal(relay->store.pump.bytes, read);
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.taken == MUCH);
}

// RETR 1, QUIT and the end at once: the message still comes.
static void test_directions_end_apart(void **state)
{
	struct bench *bench = *state;
	struct relay *relay = relay_open(bench);
	bench->near.is_pattern = true;
	end_write(&bench->near, STR("RETR 1\r\nQUIT\r\n"));
	end_finish(&bench->near);
	WAIT_UNTIL(bench, bench->far.events[STREAM_ENDED]);
	assert_true(relay->client.pump.ended);
	assert_false(relay->store.pump.ended);
	assert_true(pump_last_line_is(&relay->client.pump, STR("QUIT")));
	end_write_pattern(&bench->far, UP);
	end_finish(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_ENDED]);
	assert_int_equal(bench->near.taken_at_end, UP);
	assert_false(relay->client.failed || relay->store.failed);
}

// The last answer waits for the end, and so leaves in one packet with it.
static void test_last_bytes(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	struct pump pump = pump_between(&bench->far.stream, &bench->near.stream, MARK);
	struct str last = STR("+OK bye\r\n");
	char room[32];
	assert_int_equal(pump_last_bytes(&pump, last), last.len);
	assert_true(pump_last_line_is(&pump, STR("+OK")));
	assert_true(recv(fd, room, sizeof(room), MSG_DONTWAIT) < 0);
	end_finish(&bench->near);
	assert_int_equal(recv(fd, room, sizeof(room), MSG_DONTWAIT), last.len);
	assert_int_equal(recv(fd, room, sizeof(room), MSG_DONTWAIT), 0);
	close(fd);
}

// However the network splits a line, its beginning and its end are seen.
static void test_last_line(void **state)
{
	static const struct {
		const char *pieces[4];
		bool quit;
	} rows[] = {
	    {{"QUIT\r\n"}, true},
	    {{"quit\r\n"}, true},
	    {{"NOOP\r\nQUIT\r\n"}, true},
	    {{"NOOP\r\nQ", "UIT", "\r", "\n"}, true},
	    {{"Q", "U", "IT", "\r\n"}, true},
	    {{"NOOP\r\n", "QUIT\r\n", "x"}, false},
	    {{"QUIT\r\nNOOP\r\n"}, false},
	    {{"QUIT\r"}, false},
	    {{"QUIT"}, false},
	    {{"QUI\r\n"}, false},
	    {{"xQUIT\r\n"}, false},
	    {{"QUIT\r\n\r\n"}, false},
	};
	struct bench *bench = *state;
	bench_join(bench);
	for (size_t i = 0; i < NUM(rows); i++) {
		struct pump pump = pump_between(&bench->far.stream, &bench->near.stream, MARK);
		assert_false(pump_last_line_is(&pump, STR("QUIT")));
		for (size_t n = 0; n < 4 && rows[i].pieces[n]; n++)
			pump_bytes(&pump, str_of(rows[i].pieces[n]));
		check(str_of(rows[i].pieces[0]),
		    pump_last_line_is(&pump, STR("QUIT")) == rows[i].quit);
	}
}

// The line before the last one too: the last begins with +OK in all of these.
static void test_previous_line(void **state)
{
	static const struct {
		const char *pieces[4];
		const char *previous;
		bool first;
	} rows[] = {
	    {{"+OK bye\r\n"}, "", true},
	    {{"+O", "K\r\n"}, "", true},
	    {{".\r\n+OK bye\r\n"}, ".\r\n", false},
	    {{".\r\n", "+OK bye\r\n"}, ".\r\n", false},
	    {{".", "\r", "\n+", "OK\r\n"}, ".\r\n", false},
	    {{"a\r\nb\r\n", "body\r\n+OK\r\n"}, "body", false},
	    {{"+OK\r\na\r\nbody\r\n+", "OK\r\n"}, "body", false},
	    {{"bo", "dy\r\n+OK\r\n"}, "body", false},
	};
	struct bench *bench = *state;
	bench_join(bench);
	for (size_t i = 0; i < NUM(rows); i++) {
		struct pump pump = pump_between(&bench->far.stream, &bench->near.stream, MARK);
		for (size_t n = 0; n < 4 && rows[i].pieces[n]; n++)
			pump_bytes(&pump, str_of(rows[i].pieces[n]));
		struct str row = str_of(rows[i].pieces[0]);
		check(row, pump_last_line_is(&pump, STR("+OK")));
		check(row, pump_previous_line_is(&pump, str_of(rows[i].previous)));
		check(row, !pump_previous_line_is(&pump, STR("oops")));
		check(row, pump_is_at_first_line(&pump) == rows[i].first);
	}
}

#define RELAY_ROW(function, wiring)                                                                \
	{                                                                                          \
#function " (" #wiring ")", function, bench_open, teardown, &(wiring)              \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RELAY_ROW(test_much_both_ways, clear_accepting),
	    RELAY_ROW(test_much_both_ways, secure_accepting),
	    RELAY_ROW(test_stops_reading, clear_accepting),
	    RELAY_ROW(test_stops_reading, secure_accepting),
	    RELAY_ROW(test_directions_end_apart, clear_accepting),
	    RELAY_ROW(test_directions_end_apart, secure_accepting),
	    RELAY_ROW(test_last_bytes, clear_accepting),
	    RELAY_ROW(test_last_line, clear_accepting),
	    RELAY_ROW(test_previous_line, clear_accepting),
	};
	return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
