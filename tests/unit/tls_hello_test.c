// tls_hello_test.c: a ClientHello is found whole however it comes, and one that is too
// large before it has come.
#include "proxy/net/tls_hello.h"

#include "tests/kit/check.h"

enum { ROOM = 64 * 1024 };

// Records of `piece` bytes around a ClientHello of this length; their length.
static size_t make_flight(char *out, size_t message, size_t piece)
{
	static char content[ROOM];
	size_t left = 4 + message, at = 0;
	memset(content, 'x', sizeof(content));
	memcpy(content, (char[]){1, (char)(message >> 16), (char)(message >> 8), (char)message}, 4);
	for (const char *from = content; left; from += piece, left -= piece) {
		piece = piece < left ? piece : left;
		memcpy(out + at, (char[]){22, 3, 1, (char)(piece >> 8), (char)piece}, 5);
		memcpy(out + at + 5, from, piece);
		at += 5 + piece;
	}
	return at;
}

// Feeds it in steps, and says where the answer came.
static enum tls_hello_result feed(struct str flight, size_t step, size_t *out_used)
{
	struct tls_hello hello = {0};
	enum tls_hello_result result = TLS_HELLO_PARTIAL;
	for (*out_used = 0; result == TLS_HELLO_PARTIAL && *out_used < flight.len;) {
		struct str piece = str_take(str_drop(flight, *out_used), step);
		result = tls_hello_take(&hello, piece);
		*out_used += piece.len;
	}
	return result;
}

static void test_whole_at_its_last_byte(void **state)
{
	static const size_t messages[] = {0, 1, 4, 250, 517, 1500};
	static const size_t pieces[] = {1, 3, 4, 5, 100, 16384};
	static char room[ROOM];
	(void)state;
	for (size_t m = 0; m < NUM(messages); m++)
		for (size_t p = 0; p < NUM(pieces); p++) {
			size_t used, len = make_flight(room, messages[m], pieces[p]);
			struct str flight = {room, len};
			if (len > TLS_HELLO_MAX)
				continue;
			assert_int_equal(feed(flight, 1, &used), TLS_HELLO_WHOLE);
			assert_int_equal(used, len);
			assert_int_equal(feed(flight, 7, &used), TLS_HELLO_WHOLE);
			assert_int_equal(feed(flight, len, &used), TLS_HELLO_WHOLE);
			assert_int_equal(
			    feed(str_take(flight, len - 1), len, &used), TLS_HELLO_PARTIAL);
		}
}

// What stands behind it is none of ours.
static void test_with_more_behind(void **state)
{
	static char room[ROOM];
	size_t used, len = make_flight(room, 500, 600);
	(void)state;
	memset(room + len, 0, 20000);
	assert_int_equal(feed((struct str){room, len + 20000}, ROOM, &used), TLS_HELLO_WHOLE);
}

static void test_too_large(void **state)
{
	static char room[ROOM];
	size_t used;
	(void)state;
	make_flight(room, 9000, 16000);
	assert_int_equal(
	    feed((struct str){room, 5}, 5, &used), TLS_HELLO_TOO_LARGE); // by its record
	make_flight(room, 9000, 500);
	assert_int_equal(
	    feed((struct str){room, 9}, 9, &used), TLS_HELLO_TOO_LARGE); // by its length
	size_t len = make_flight(room, 2000, 1);                         // by what is around it
	assert_true(len > TLS_HELLO_MAX);
	assert_int_equal(feed((struct str){room, len}, 1, &used), TLS_HELLO_TOO_LARGE);
	assert_int_equal(used, TLS_HELLO_MAX + 1);
}

// BoringSSL answers these.
static const struct str others[] = {
    BYTES(21, 3, 1, 0, 2),             // an alert
    BYTES(20, 3, 3, 0, 1),             // ChangeCipherSpec
    BYTES(23, 3, 3, 0, 1),             // data
    BYTES(22, 3, 1, 0, 0),             // nothing
    BYTES(22, 9, 9, 0, 5),             // no version of TLS
    BYTES(22, 3, 1, 0, 9, 2, 0, 0, 5), // ServerHello
    STR("GET / HTTP/1.1\r\n"),
    STR("USER anna\r\n"),
};

static void test_what_is_no_hello(void **state)
{
	size_t used;
	(void)state;
	for (size_t i = 0; i < NUM(others); i++) {
		check(others[i], feed(others[i], 100, &used) == TLS_HELLO_WHOLE);
		check(others[i], feed(others[i], 1, &used) == TLS_HELLO_WHOLE);
		check(others[i], feed(str_take(others[i], 4), 4, &used) == TLS_HELLO_PARTIAL);
	}
}

static enum tls_hello_result feed_passing(struct str flight, size_t step, uint32_t *out_seen)
{
	struct tls_hello hello = {.passes_others = true};
	enum tls_hello_result result = TLS_HELLO_PARTIAL;
	while (result == TLS_HELLO_PARTIAL && flight.len) {
		result = tls_hello_take(&hello, str_take(flight, step));
		flight = str_drop(flight, step);
	}
	*out_seen = hello.num_seen;
	return result;
}

static const struct str passed[] = {
    BYTES(21, 3, 1, 0, 2, 1, 90),    // a warning
    BYTES(20, 3, 3, 0, 1, 1),        // ChangeCipherSpec
    BYTES(23, 3, 3, 0, 3, 22, 3, 1), // data
    BYTES(23, 3, 3, 0, 0),
    BYTES(22, 3, 1, 0, 0),
};

static const struct str no_records[] = {
    STR("USER anna\r\n"),
    STR("\x80\x2e\1\3\1"),             // the hello of SSL 2.0
    BYTES(22, 3, 1, 0, 9, 2, 0, 0, 5), // ServerHello
};

// Where BoringSSL goes on reading, what it may pass over is no answer, but counts.
static void test_what_is_passed_over(void **state)
{
	static char room[ROOM];
	(void)state;
	for (size_t i = 0; i < NUM(passed); i++)
		for (size_t step = 1; step < 12; step++) {
			uint32_t seen;
			size_t at = passed[i].len;
			memcpy(room, passed[i].at, at);
			size_t len = at + make_flight(room + at, 500, 200);
			check(passed[i],
			    feed_passing((struct str){room, len}, step, &seen) == TLS_HELLO_WHOLE);
			assert_int_equal(seen, len);
			make_flight(room + at, 9000, 500);
			check(passed[i], feed_passing((struct str){room, ROOM / 4}, step, &seen) ==
			                     TLS_HELLO_TOO_LARGE);
		}
}

static void test_no_more_is_passed_over_than_fits(void **state)
{
	static char room[ROOM];
	uint32_t seen;
	(void)state;
	for (size_t i = 0; i < NUM(no_records); i++)
		check(no_records[i], feed_passing(no_records[i], 1, &seen) == TLS_HELLO_WHOLE);
	for (size_t at = 0; at < ROOM; at += 8)
		memcpy(room + at, (char[]){23, 3, 3, 0, 3, 0, 0, 0}, 8);
	assert_int_equal(
	    feed_passing((struct str){room, TLS_HELLO_MAX}, 100, &seen), TLS_HELLO_PARTIAL);
	assert_int_equal(
	    feed_passing((struct str){room, TLS_HELLO_MAX + 1}, 100, &seen), TLS_HELLO_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole_at_its_last_byte),
	    cmocka_unit_test(test_with_more_behind),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_what_is_no_hello),
	    cmocka_unit_test(test_what_is_passed_over),
	    cmocka_unit_test(test_no_more_is_passed_over_than_fits),
	};
	return cmocka_run_group_tests_name("tls_hello", tests, NULL, NULL);
}
