// bench.c: joining streams and watching them.  See bench.h.
#include "tests/kit/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "tests/kit/cert.h"
#include "tests/kit/tcp.h"

enum {
	DEADLINE_MS = 20 * 1000, // of one test, also under sanitizers
	TICK_MS = 2,
	SMALL = 16 * 1024,
	SETTLING_TURNS = 32,
	GOT_MAX = 1024 * 1024,
	PERIOD = 65521, // a prime: no buffer's size divides it
};

struct wiring clear_accepting = {.near_accepts = true};
struct wiring clear_connecting = {0};
struct wiring secure_accepting = {.secure = true, .near_accepts = true};
struct wiring secure_connecting = {.secure = true};

// ---- watching -----------------------------------------------------------

static void promise(struct end *end, bool kept, const char *what)
{
	if (!kept && !end->bench->broken)
		end->bench->broken = what;
}

static void note(struct end *end, struct str bytes)
{
	end->taken += bytes.len;
	if (!end->is_pattern && !buf_add(&end->got, bytes, GOT_MAX))
		promise(end, false, "more bytes than this test can keep");
	for (uint64_t at = end->taken - bytes.len; end->is_pattern && bytes.len;) {
		struct str piece = str_take(bytes, PATTERN_MAX);
		promise(end, str_eq(piece, pattern_at(at, piece.len)), "content stays intact");
		at += piece.len;
		bytes = str_drop(bytes, piece.len);
	}
}

static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct end *end = stream->context;
	struct str left = buf_str(&end->left);
	promise(end, !end->calling, "no bytes before a call returns");
	promise(end, !end->closing, "no bytes after closing");
	promise(end, !end->paused, "no bytes while paused");
	promise(end, !end->events[STREAM_ENDED], "no bytes after the end");
	promise(end, !end->events[STREAM_FAILED], "no bytes after a failure");
	promise(end, bytes.len > 0, "no offer without bytes");
	promise(end, str_eq(str_take(bytes, left.len), left), "unconsumed bytes come again first");
	end->offers++;
	size_t used = end->take ? end->take(end, bytes) : bytes.len;
	note(end, str_take(bytes, used));
	buf_done(&end->left);
	if (!buf_add(&end->left, str_drop(bytes, used), SIZE_MAX))
		abort();
	return used;
}

static void on_event(struct stream *stream, enum stream_event event)
{
	struct end *end = stream->context;
	promise(end, !end->calling, "no event before a call returns");
	promise(end, !end->events[STREAM_CLOSED], "STREAM_CLOSED is the last event");
	promise(end, !end->closing || event == STREAM_CLOSED, "only STREAM_CLOSED after closing");
	promise(end, end->closing || event != STREAM_CLOSED, "nobody else closes");
	promise(end, event == STREAM_DRAINED || !end->events[event], "each event comes once");
	promise(end, event != STREAM_ENDED || !end->paused, "no end while paused");
	promise(end, event != STREAM_DRAINED || !stream_queued(stream), "drained is drained");
	promise(end, event != STREAM_FAILED || stream_error(stream), "a failure has a reason");
	end->events[event]++;
	if (event == STREAM_ENDED)
		end->taken_at_end = end->taken;
	if (event == STREAM_FAILED)
		snprintf(end->error, sizeof(end->error), "%s", stream_error(stream));
	if (end->heard)
		end->heard(end, event);
}

static const struct stream_owner owner = {on_bytes, on_event};

// ---- calls --------------------------------------------------------------

static bool is_server(const struct end *end)
{
	return (end == &end->bench->near) == end->bench->wiring->near_accepts;
}

void end_secure(struct end *end)
{
	end->calling++;
	if (is_server(end))
		stream_secure_server(&end->stream, end->bench->server, NULL);
	else
		stream_secure_client(&end->stream, end->bench->client, "pop.test");
	end->calling--;
}

void end_write(struct end *end, struct str bytes)
{
	end->calling++;
	stream_write(&end->stream, bytes);
	end->calling--;
}

void end_pause(struct end *end)
{
	end->calling++;
	end->paused = true;
	stream_pause(&end->stream);
	end->calling--;
}

void end_resume(struct end *end)
{
	end->calling++;
	stream_resume(&end->stream);
	end->paused = false;
	end->calling--;
}

void end_finish(struct end *end)
{
	end->calling++;
	stream_finish(&end->stream);
	end->calling--;
}

void end_close_gently(struct end *end)
{
	end->calling++;
	stream_close_gently(&end->stream);
	end->closing = true;
	end->calling--;
}

void end_close(struct end *end)
{
	end->calling++;
	stream_close(&end->stream);
	end->closing = true;
	end->calling--;
}

void end_abort(struct end *end)
{
	end->calling++;
	stream_abort(&end->stream);
	end->closing = true;
	end->calling--;
}

void end_open(struct end *end, int fd)
{
	end->calling++;
	end->used = end->paused = true;
	stream_open(&end->stream, &end->bench->net, fd, &owner, end);
	end->calling--;
}

void end_connect(struct end *end, const struct addr *addr)
{
	end->calling++;
	end->used = true;
	stream_connect(&end->stream, &end->bench->net, addr, &owner, end);
	end->calling--;
}

// ---- taking and writing -------------------------------------------------

size_t take_none(struct end *end, struct str bytes)
{
	(void)end;
	(void)bytes;
	return 0;
}

size_t take_line(struct end *end, struct str bytes)
{
	size_t lf = str_find(bytes, '\n');
	(void)end;
	return lf < bytes.len ? lf + 1 : 0;
}

// Calls from inside a callback of the same end may call nothing back either.
size_t take_one_and_pause(struct end *end, struct str bytes)
{
	(void)bytes;
	end_pause(end);
	return 1;
}

size_t take_all_and_pause(struct end *end, struct str bytes)
{
	end_pause(end);
	return bytes.len;
}

struct str pattern_at(uint64_t place, size_t len)
{
	static char pattern[PERIOD + PATTERN_MAX];
	if (!pattern[1])
		for (size_t i = 0; i < sizeof(pattern); i++)
			pattern[i] = (char)((i % PERIOD * 2654435761u) >> 11);
	BUG_ON(len > PATTERN_MAX);
	return (struct str){pattern + place % PERIOD, len};
}

void end_write_pattern(struct end *end, size_t len)
{
	for (size_t at = 0; at < len; at += PATTERN_MAX)
		end_write(end, pattern_at(at, len - at < PATTERN_MAX ? len - at : PATTERN_MAX));
}

// ---- the bench ----------------------------------------------------------

// libuv may block right after it has run a task or a timer, though that was
// what the test waited for: the ticks wake it up.
static void on_tick(struct timer *timer)
{
	struct bench *bench = timer->uv.data;
	bench->late = net_now(&bench->net) >= bench->deadline;
	timer_set(timer, TICK_MS);
}

static void set_deadline(struct bench *bench)
{
	bench->late = false;
	bench->deadline = net_now(&bench->net) + DEADLINE_MS;
	timer_set(&bench->ticks, TICK_MS);
}

int bench_open(void **state)
{
	char room[256];
	struct text why = TEXT(room);
	struct bench *bench = xcalloc(1, sizeof(*bench));
	signal(SIGPIPE, SIG_IGN); // as every program with streams does
	bench->wiring = *state;
	bench->near.bench = bench->far.bench = bench;
	net_init(&bench->net);
	timer_init(&bench->ticks, &bench->net, on_tick);
	bench->ticks.uv.data = bench;
	set_deadline(bench);
	bench->server = cert_server();
	bench->client = tls_client_new(NULL, NULL, &why);
	*state = bench;
	return bench->client ? 0 : -1;
}

static void close_end(struct end *end)
{
	if (end->used && !end->closing)
		end_close(end);
	WAIT_UNTIL(end->bench, !end->used || end->events[STREAM_CLOSED]);
	buf_done(&end->got);
	buf_done(&end->left);
}

int bench_close(void **state)
{
	struct bench *bench = *state;
	const char *broken;
	set_deadline(bench);
	close_end(&bench->near);
	close_end(&bench->far);
	bench_settle(bench);
	broken = bench->broken;
	timer_close(&bench->ticks, NULL);
	net_run(&bench->net);
	net_done(&bench->net);
	tls_server_free(&bench->server);
	tls_client_free(&bench->client);
	free(bench);
	if (broken)
		print_error("broken: %s\n", broken);
	return broken ? -1 : 0;
}

void bench_step(struct bench *bench, const char *waiting_for)
{
	if (bench->late)
		fail_msg("too late; still waiting for: %s", waiting_for);
	uv_run(&bench->net.loop, UV_RUN_ONCE);
}

void bench_settle(struct bench *bench)
{
	for (int i = 0; i < SETTLING_TURNS; i++)
		uv_run(&bench->net.loop, UV_RUN_NOWAIT);
}

// A socket that libuv has made: only what it sends can still be made small.
static void send_little(struct end *end)
{
	uv_os_fd_t fd;
	assert_int_equal(uv_fileno((uv_handle_t *)&end->stream.tcp, &fd), 0);
	tcp_set_room(fd, SMALL);
}

void bench_join_clear(struct bench *bench)
{
	struct addr addr;
	int listening = tcp_listen(&addr);
	struct end *accepting = bench->wiring->near_accepts ? &bench->near : &bench->far;
	struct end *connecting = bench->wiring->near_accepts ? &bench->far : &bench->near;
	if (bench->small)
		tcp_set_room(listening, SMALL);
	end_connect(connecting, &addr);
	end_open(accepting, tcp_accept(listening));
	close(listening);
	WAIT_UNTIL(bench, connecting->events[STREAM_CONNECTED]);
	if (bench->small)
		send_little(connecting);
	end_resume(accepting);
}

static void secure_both(struct bench *bench)
{
	end_secure(&bench->near);
	end_secure(&bench->far);
}

void bench_join(struct bench *bench)
{
	bench_join_clear(bench);
	if (!bench->wiring->secure)
		return;
	secure_both(bench);
	WAIT_UNTIL(bench, bench->near.events[STREAM_SECURED] && bench->far.events[STREAM_SECURED]);
}

int bench_join_socket(struct bench *bench)
{
	struct addr addr;
	int fd, listening = tcp_listen(&addr);
	if (bench->small)
		tcp_set_room(listening, SMALL);
	if (bench->wiring->near_accepts) {
		fd = tcp_connect(&addr);
		end_open(&bench->near, tcp_accept(listening));
		end_resume(&bench->near);
	} else {
		end_connect(&bench->near, &addr);
		fd = tcp_accept(listening);
		WAIT_UNTIL(bench, bench->near.events[STREAM_CONNECTED]);
		if (bench->small)
			send_little(&bench->near);
	}
	close(listening);
	return fd;
}

// ---- the man in the middle ----------------------------------------------

struct middle bench_join_middle(struct bench *bench)
{
	struct tcp_pair near = tcp_pair(0), far = tcp_pair(0);
	struct middle middle = {near.b, far.b};
	tcp_set_nonblocking(middle.near);
	tcp_set_nonblocking(middle.far);
	end_open(&bench->near, near.a);
	end_open(&bench->far, far.a);
	end_resume(&bench->near);
	end_resume(&bench->far);
	if (bench->wiring->secure)
		secure_both(bench);
	return middle;
}

static size_t carry(int from, int to, size_t most, char flip)
{
	char room[4096];
	ssize_t n = read(from, room, most < sizeof(room) ? most : sizeof(room));
	for (ssize_t i = 0; i < n; i++)
		room[i] ^= flip;
	return n > 0 && write(to, room, (size_t)n) == n ? (size_t)n : 0;
}

size_t middle_carry(struct bench *bench, const struct middle *middle, size_t most, char flip)
{
	size_t carried = carry(middle->near, middle->far, most, flip);
	carried += carry(middle->far, middle->near, most, flip);
	uv_run(&bench->net.loop, UV_RUN_NOWAIT);
	uv_run(&bench->net.loop, UV_RUN_NOWAIT);
	if (bench->late)
		fail_msg("too late");
	return carried;
}

void middle_close(const struct middle *middle)
{
	close(middle->near);
	close(middle->far);
}
