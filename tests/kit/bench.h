// bench.h: two streams joined by a real connection, watched for what
// proxy/net/stream.h promises.
//
// Used by contract tests.  A bench has one event loop, one deadline for the
// whole test, and two ends: the near one, whose promises are looked at, and
// the far one, which helps.  A wiring says whether they speak TLS and which of
// them accepts, so that one test runs for both ends, in the clear and under
// TLS.
//
// Every end checks at each callback what must hold at all times:
//   * no call into the stream has yet to return (end_* mark their calls);
//   * after closing nothing comes but STREAM_CLOSED, after that nothing;
//   * no bytes while paused, after the end or after a failure;
//   * bytes that were not consumed are offered again, first and unchanged;
//   * each event but STREAM_DRAINED comes once;
//   * at STREAM_DRAINED nothing is queued.
// The first promise that was broken fails the test in bench_close.
#ifndef POPGATE_TESTS_KIT_BENCH_H
#define POPGATE_TESTS_KIT_BENCH_H

#include "proxy/net/stream.h"
#include "proxy/net/timer.h"
#include "proxy/net/tls.h"
#include "tests/kit/check.h"

struct bench;

struct wiring {
	bool secure;
	bool near_accepts;
};

// All there are, and rows for cmocka that run a test with some of them.
extern struct wiring clear_accepting, clear_connecting, secure_accepting, secure_connecting;

#define ROW(function, wiring)                                                                      \
	{                                                                                          \
#function " (" #wiring ")", function, bench_open, bench_close, &(wiring)           \
	}
#define CLEAR_ROWS(function) ROW(function, clear_accepting), ROW(function, clear_connecting)
#define SECURE_ROWS(function) ROW(function, secure_accepting), ROW(function, secure_connecting)
#define ALL_ROWS(function) CLEAR_ROWS(function), SECURE_ROWS(function)

struct end {
	struct stream stream;
	struct bench *bench;
	// How many of the bytes to consume; NULL: all.
	size_t (*take)(struct end *end, struct str bytes);
	// Called after an event was noted; may be NULL.
	void (*heard)(struct end *end, enum stream_event event);
	bool is_pattern; // bytes are compared with pattern_at, not kept
	struct buf got;  // what was consumed
	struct buf left; // what was offered and not consumed
	uint64_t taken;  // number of bytes consumed
	unsigned offers; // calls of on_bytes
	unsigned events[STREAM_CLOSED + 1];
	uint64_t taken_at_end; // when STREAM_ENDED came
	char error[256];       // stream_error, copied at STREAM_FAILED
	unsigned calling;      // calls under way
	bool used, paused, closing;
};

struct bench {
	struct net net;
	struct timer ticks;
	uint64_t deadline; // by net_now
	struct tls_server *server;
	struct tls_client *client;
	const struct wiring *wiring;
	struct end near, far;
	bool late;
	bool small; // joins with small kernel buffers
	const char *broken;
};

// Setup and teardown for cmocka; the row's initial state is a struct wiring.
int bench_open(void **state);
int bench_close(void **state);

// One turn of the loop; fails the test when its time is over, saying what was
// waited for.
void bench_step(struct bench *bench, const char *waiting_for);

#define WAIT_UNTIL(bench, condition)                                                               \
	while (!(condition))                                                                       \
	bench_step((bench), #condition)

// Lets everything happen that can happen by itself.
void bench_settle(struct bench *bench);

// Joins both ends, with TLS when the wiring says so, neither paused.
void bench_join(struct bench *bench);

// Joins both ends in the clear.
void bench_join_clear(struct bench *bench);

// Joins the near end to a socket of the caller's, in the clear.
int bench_join_socket(struct bench *bench);

// A man in the middle: sockets that face the near and the far end.
struct middle {
	int near, far;
};
struct middle bench_join_middle(struct bench *bench);

// Carries at most `most` bytes each way, each `flip`ped; returns how many.
size_t middle_carry(struct bench *bench, const struct middle *middle, size_t most, char flip);
void middle_close(const struct middle *middle);

// Calls into a stream, marked as such.
void end_secure(struct end *end);
void end_write(struct end *end, struct str bytes);
void end_pause(struct end *end);
void end_resume(struct end *end);
void end_finish(struct end *end);
void end_close_gently(struct end *end);
void end_close(struct end *end);
void end_abort(struct end *end);
void end_open(struct end *end, int fd);
void end_connect(struct end *end, const struct addr *addr);

// Ways to take bytes.
size_t take_none(struct end *end, struct str bytes);
size_t take_line(struct end *end, struct str bytes);
size_t take_one_and_pause(struct end *end, struct str bytes);
size_t take_all_and_pause(struct end *end, struct str bytes);

// Part of an endless text in which every place looks different; at most
// PATTERN_MAX bytes.
enum { PATTERN_MAX = 64 * 1024 };
struct str pattern_at(uint64_t place, size_t len);
void end_write_pattern(struct end *end, size_t len);

#endif
