// buf_test.c: a queue gives back what was put in, in order, refuses what is
// above its limit without a change, and holds no memory while it is empty.
#include "tests/kit/check.h"

#include <stdlib.h>

#include "proxy/base/buf.h"
#include "tests/kit/wiped.h"

static void check_empty(const struct buf *buf)
{
	assert_int_equal(buf_len(buf), 0);
	assert_null(buf->at);
	assert_int_equal(buf->cap, 0);
	assert_int_equal(buf_str(buf).len, 0);
}

static void test_zero_state(void **state)
{
	struct buf buf = {0};
	(void)state;
	check_empty(&buf);
	buf_consume(&buf, 0);
	buf_done(&buf);
	assert_true(buf_add(&buf, STR(""), 0));
	check_empty(&buf);
}

static void test_order(void **state)
{
	struct buf buf = {0};
	(void)state;
	assert_true(buf_add(&buf, STR("abc"), 100));
	buf_consume(&buf, 1);
	assert_true(buf_add(&buf, STR("d\0e"), 100));
	assert_true(str_eq(buf_str(&buf), STR("bcd\0e")));
	buf_consume(&buf, 4);
	assert_true(str_eq(buf_str(&buf), STR("e")));
	buf_consume(&buf, 1);
	check_empty(&buf);
}

static void test_limit(void **state)
{
	static const struct {
		size_t queued, added, max;
		bool fits;
	} rows[] = {
	    {0, 4, 4, true},
	    {0, 5, 4, false},
	    {3, 1, 4, true},
	    {3, 2, 4, false},
	    {4, 0, 4, true},
	    {4, 1, 4, false},
	    {4, 1, 2, false}, // the limit may become smaller than the queue
	    {0, 1, 0, false},
	    {1, 1, SIZE_MAX, true},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct buf buf = {0};
		assert_true(buf_add(&buf, str_take(STR("abcdef"), rows[i].queued), 100));
		bool fitted = buf_add(&buf, str_take(STR("vwxyz"), rows[i].added), rows[i].max);
		assert_true(fitted == rows[i].fits);
		assert_int_equal(buf_len(&buf), rows[i].queued + (fitted ? rows[i].added : 0));
		assert_true(str_eq(str_take(buf_str(&buf), rows[i].queued),
		    str_take(STR("abcdef"), rows[i].queued)));
		buf_done(&buf);
		check_empty(&buf);
	}
}

// What was dropped at the front counts neither for the limit nor for ever.
static void test_limit_is_of_the_queue(void **state)
{
	struct buf buf = {0};
	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(buf_add(&buf, STR("12345"), 10));
		buf_consume(&buf, i ? 5 : 0);
		assert_in_range(buf.cap, 0, 1024);
	}
	assert_true(str_eq(buf_str(&buf), STR("12345")));
	buf_done(&buf);
}

// A model of plain arithmetic: byte n of all that was ever put in is f(n).
static char byte_at(uint64_t n)
{
	return (char)(n * 2654435761u >> 24);
}

static bool add_run(struct buf *buf, uint64_t from, size_t len)
{
	char run[4096];
	for (size_t i = 0; i < len; i++)
		run[i] = byte_at(from + i);
	return buf_add(buf, (struct str){run, len}, 64 * 1024);
}

static void test_many_steps(void **state)
{
	struct buf buf = {0};
	uint64_t added = 0, used = 0;
	uint32_t dice = 1;
	(void)state;
	for (int step = 0; step < 20000; step++) {
		dice = dice * 1664525 + 1013904223;
		size_t n = dice >> 20;
		if (dice & 0x8000)
			added += add_run(&buf, added, n) ? n : 0;
		else if (n <= buf_len(&buf))
			buf_consume(&buf, n), used += n;
		assert_int_equal(buf_len(&buf), added - used);
		struct str queued = buf_str(&buf);
		assert_int_equal(queued.len != 0, queued.at != NULL);
		if (queued.at) {
			assert_int_equal(queued.at[0], byte_at(used));
			assert_int_equal(queued.at[queued.len - 1], byte_at(added - 1));
		}
	}
	assert_in_range(used, 1024 * 1024, UINT64_MAX);
	buf_done(&buf);
}

// Passwords pass through queues: neither growing nor emptying leaves them.
static void test_wiped(void **state)
{
	struct buf buf = {0};
	char room[4096];
	(void)state;
	wiped_watch(STR("sesame"));
	assert_true(buf_add(&buf, STR("PASS sesame\r\n"), SIZE_MAX));
	assert_true(buf_add(&buf, check_fill(room, sizeof(room), 'x', sizeof(room)), SIZE_MAX));
	buf_consume(&buf, buf_len(&buf));
	assert_true(buf_add(&buf, STR("PASS sesame\r\n"), SIZE_MAX));
	buf_done(&buf);
	assert_int_equal(wiped_leaks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_zero_state),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_limit),
	    cmocka_unit_test(test_limit_is_of_the_queue),
	    cmocka_unit_test(test_many_steps),
	    cmocka_unit_test(test_wiped),
	};
	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
