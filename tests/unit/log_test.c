// log_test.c: one well-formed line per event, text or JSON (RFC 8259), that no
// field can break; lines reach the target whole, in pieces of at most PIPE_BUF
// bytes (POSIX write: atomic), and what is lost is counted and told.
#include "tests/kit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/addr.h"
#include "proxy/base/log.h"

enum { LOGGED_MAX = 256 * 1024 };

// The log of one test: a file, and what was in it when last looked at.
static struct {
	char path[64];
	char bytes[LOGGED_MAX];
	struct str all;
} logged;

static void open_log(const char *target, enum log_format format, enum log_level level)
{
	char room[256];
	struct text why = TEXT(room);
	if (!log_open(str_of(target), format, level, &why))
		fail_msg("%s", room);
}

static void look(void)
{
	int fd = open(logged.path, O_RDONLY);
	ssize_t n = read(fd, logged.bytes, sizeof(logged.bytes));
	close(fd);
	assert_in_range(n, 0, sizeof(logged.bytes) - 1);
	logged.all = (struct str){logged.bytes, (size_t)n};
}

// The next line, and what follows it later.
static struct str next_line(void)
{
	struct str line;
	if (!str_cut(logged.all, '\n', &line, &logged.all))
		fail_msg("no whole line left: %.*s", STR_ARG(line));
	return line;
}

// The first line in the file, without its time.
static struct str first_line(size_t time_len)
{
	look();
	return str_drop(next_line(), time_len);
}

static void log_one(const char *field, struct str value)
{
	struct log_line line;
	log_begin(&line, LOG_session_closed);
	log_str(&line, field, value);
	log_end(&line);
}

static int setup(void **state)
{
	(void)state;
	memcpy(logged.path, "/tmp/log_test.XXXXXX", sizeof("/tmp/log_test.XXXXXX"));
	close(mkstemp(logged.path));
	log_set_buffered(false);
	open_log(logged.path, LOG_FORMAT_text, LOG_LEVEL_info);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	open_log("/dev/null", LOG_FORMAT_text, LOG_LEVEL_info);
	log_one("forget", STR("lines that were lost"));
	open_log("stderr", LOG_FORMAT_text, LOG_LEVEL_info);
	return unlink(logged.path);
}

// "2024-02-29T12:34:56.789Z"
static void check_time(struct str s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	check(s, s.len == sizeof(form) - 1);
	for (size_t i = 0; i < s.len; i++)
		check(s, form[i] == 'd' ? s.at[i] >= '0' && s.at[i] <= '9' : s.at[i] == form[i]);
}

static const struct {
	struct str value;
	struct str text, json;
} values[] = {
    {STR("anna"), STR("anna"), STR("\"anna\"")},
    {STR(""), STR("\"\""), STR("\"\"")},
    {STR("a b"), STR("\"a b\""), STR("\"a b\"")},
    {STR("a=b"), STR("\"a=b\""), STR("\"a=b\"")},
    {STR("a\"b"), STR("\"a\\\"b\""), STR("\"a\\\"b\"")},
    {STR("a\\b"), STR("\"a\\\\b\""), STR("\"a\\\\b\"")},
    {STR("a\nb"), STR("\"a\\u000ab\""), STR("\"a\\u000ab\"")},
    {STR("\r\n"), STR("\"\\u000d\\u000a\""), STR("\"\\u000d\\u000a\"")},
    {STR("a\0b"), STR("\"a\\u0000b\""), STR("\"a\\u0000b\"")},
    {STR("\x1b[0m\x7f"), STR("\"\\u001b[0m\\u007f\""), STR("\"\\u001b[0m\\u007f\"")},
    {STR("\xe4\xff"), STR("\"\\u00e4\\u00ff\""), STR("\"\\u00e4\\u00ff\"")},
    {STR("M\xc3\xbcller"), STR("\"M\\u00fcller\""), STR("\"M\\u00fcller\"")},
    {STR("\xf0\x9f\x98\x80"), STR("\"\\ud83d\\ude00\""), STR("\"\\ud83d\\ude00\"")},
    {STR("'{}[],:"), STR("'{}[],:"), STR("\"'{}[],:\"")},
};

static void test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(values); i++)
		log_one("user", values[i].value);
	look();
	for (size_t i = 0; i < NUM(values); i++) {
		struct str line = next_line();
		check_time(str_take(line, 24));
		line = str_drop(line, 24);
		check_str(values[i].value, str_take(line, 26), STR(" info session_closed user="));
		check_str(values[i].value, str_drop(line, 26), values[i].text);
	}
	assert_true(str_is_empty(logged.all));
}

static void test_json(void **state)
{
	static const struct str middle =
	    STR("\",\"level\":\"info\",\"event\":\"session_closed\",\"user\":");
	(void)state;
	open_log(logged.path, LOG_FORMAT_json, LOG_LEVEL_info);
	for (size_t i = 0; i < NUM(values); i++)
		log_one("user", values[i].value);
	look();
	for (size_t i = 0; i < NUM(values); i++) {
		struct str line = next_line();
		check_str(line, str_take(line, 9), STR("{\"time\":\""));
		check_time(str_take(str_drop(line, 9), 24));
		line = str_drop(line, 33);
		check_str(values[i].value, str_take(line, middle.len), middle);
		line = str_drop(line, middle.len);
		check_str(values[i].value, str_take(line, line.len - 1), values[i].json);
		check_str(values[i].value, str_drop(line, line.len - 1), STR("}"));
	}
}

static void test_fields(void **state)
{
	static const struct {
		enum log_format format;
		size_t time_len;
		struct str wanted;
	} rows[] = {
	    {LOG_FORMAT_text, 24,
	        STR(" info session_closed bytes=18446744073709551615 peer=[2001:db8::1]:995 "
	            "until=2026-11-21T14:45:01Z never=\"\"")},
	    {LOG_FORMAT_json, 33,
	        STR("\",\"level\":\"info\",\"event\":\"session_closed\","
	            "\"bytes\":18446744073709551615,\"peer\":\"[2001:db8::1]:995\","
	            "\"until\":\"2026-11-21T14:45:01Z\",\"never\":\"\"}")},
	};
	struct addr addr;
	(void)state;
	assert_true(addr_parse(STR("[2001:db8::1]:995"), 0, &addr));
	for (size_t i = 0; i < NUM(rows); i++) {
		struct log_line line;
		open_log(logged.path, rows[i].format, LOG_LEVEL_info);
		assert_int_equal(truncate(logged.path, 0), 0);
		log_begin(&line, LOG_session_closed);
		log_u64(&line, "bytes", UINT64_MAX);
		log_addr(&line, "peer", &addr);
		log_time(&line, "until", 1795272301);
		log_time(&line, "never", INT64_MAX);
		log_end(&line);
		check_str(STR("fields"), first_line(rows[i].time_len), rows[i].wanted);
	}
}

// Lines that ask for somebody carry their sentence.
static void test_message(void **state)
{
	(void)state;
	log_why(LOG_start_failed, "no %s on port %d", "room", 995);
	check_str(STR("error"), first_line(24),
	    STR(" error start_failed message=\"popgate cannot start\" why=\"no room on port "
	        "995\""));
}

static void test_levels(void **state)
{
	static const struct {
		enum log_level level;
		unsigned lines; // of one error, warn, info and debug each
	} rows[] = {
	    {LOG_LEVEL_error, 1},
	    {LOG_LEVEL_warn, 2},
	    {LOG_LEVEL_info, 3},
	    {LOG_LEVEL_debug, 4},
	};
	static const enum log_event events[] = {
	    LOG_start_failed, LOG_drain_over, LOG_ready, LOG_worker_started};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		open_log(logged.path, LOG_FORMAT_text, rows[i].level);
		assert_int_equal(truncate(logged.path, 0), 0);
		for (size_t n = 0; n < NUM(events); n++)
			log_why(events[n], "because");
		look();
		for (unsigned n = 0; n < rows[i].lines; n++)
			next_line();
		assert_true(str_is_empty(logged.all));
		assert_true(log_wants(rows[i].level));
		assert_true(log_wants(LOG_LEVEL_debug) == (rows[i].level == LOG_LEVEL_debug));
	}
}

// A line that outgrows its room loses whole fields, stays well formed, says so.
static void test_cut(void **state)
{
	static const struct {
		enum log_format format;
		struct str end;
	} rows[] = {
	    {LOG_FORMAT_text, STR(" user=anna cut=true")},
	    {LOG_FORMAT_json, STR(",\"user\":\"anna\",\"cut\":true}")},
	};
	static char room[LOG_LINE_MAX];
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct log_line line;
		open_log(logged.path, rows[i].format, LOG_LEVEL_info);
		assert_int_equal(truncate(logged.path, 0), 0);
		log_begin(&line, LOG_session_closed);
		log_str(&line, "user", STR("anna"));
		log_str(&line, "client", check_fill(room, sizeof(room), 'x', LOG_LINE_MAX));
		log_u64(&line, "bytes", 1); // there were room, but a gap would mislead
		log_end(&line);
		struct str found = first_line(0);
		check_str(STR("cut"), str_drop(found, found.len - rows[i].end.len), rows[i].end);
		check(found, str_find(found, 'x') == found.len);
	}
}

// Around the limit: each line is whole or says that it is cut, and has room.
static void test_cut_exactly(void **state)
{
	static char room[LOG_LINE_MAX];
	unsigned whole = 0, cut = 0;
	(void)state;
	for (size_t n = LOG_LINE_MAX - 200; n < LOG_LINE_MAX; n++) {
		assert_int_equal(truncate(logged.path, 0), 0);
		open_log(logged.path, n & 1 ? LOG_FORMAT_json : LOG_FORMAT_text, LOG_LEVEL_info);
		log_one("user", check_fill(room, sizeof(room), 'x', n));
		struct str line = first_line(0);
		assert_in_range(line.len, 1, LOG_LINE_MAX - 1);
		whole += str_find(line, 'x') < line.len;
		cut += memmem(line.at, line.len, "cut", 3) != NULL;
		assert_int_equal(whole + cut, n - (LOG_LINE_MAX - 200) + 1);
	}
	assert_in_range(whole, 50, 199);
	assert_in_range(cut, 1, 100);
}

// A long reason may be cut, but not vanish without a word.
static void test_long_why(void **state)
{
	static char room[1501];
	(void)state;
	memset(room, 'x', sizeof(room) - 1);
	log_why(LOG_session_closed, "%s", room);
	struct str line = first_line(24);
	bool there = memmem(line.at, line.len, room, 1500) != NULL;
	check(line, there || memmem(line.at, line.len, "cut=true", 8) != NULL);
}

static void test_buffered(void **state)
{
	(void)state;
	log_set_buffered(true);
	log_one("user", STR("anna"));
	look();
	assert_true(str_is_empty(logged.all));
	log_flush();
	look();
	next_line();
	assert_true(str_is_empty(logged.all));
	log_one("user", STR("berta"));
	log_set_buffered(false); // writes what waits
	look();
	next_line();
	next_line();
}

// A new target gets new lines; those that wait go to the old one.
static void test_open_again(void **state)
{
	(void)state;
	log_set_buffered(true);
	log_one("user", STR("anna"));
	open_log("/dev/null", LOG_FORMAT_text, LOG_LEVEL_info);
	log_one("user", STR("berta"));
	log_flush();
	look();
	check_str(STR("old"), str_drop(next_line(), 24), STR(" info session_closed user=anna"));
	assert_true(str_is_empty(logged.all));
}

static void test_open_refused(void **state)
{
	char room[256];
	struct text why = TEXT(room);
	(void)state;
	assert_false(log_open(STR("/nowhere/log"), LOG_FORMAT_json, LOG_LEVEL_error, &why));
	assert_non_null(strstr(room, "/nowhere/log"));
	assert_non_null(strstr(room, strerror(ENOENT)));
	log_one("user", STR("anna"));
	check_str(STR("stays"), first_line(24), STR(" info session_closed user=anna"));
}

// Asked beforehand, as a check of a configuration does: nothing is made.
static void test_can_open(void **state)
{
	char room[256];
	struct text why = TEXT(room);
	(void)state;
	assert_true(log_can_open(STR("stderr"), &why));
	assert_true(log_can_open(STR("syslog"), &why));
	assert_true(log_can_open(str_of(logged.path), &why));
	assert_int_equal(unlink(logged.path), 0);
	assert_true(log_can_open(str_of(logged.path), &why));
	assert_int_equal(access(logged.path, F_OK), -1);
	assert_string_equal(room, "");
	assert_false(log_can_open(STR("/nowhere/log"), &why));
	assert_non_null(strstr(room, "/nowhere/log"));
	open_log(logged.path, LOG_FORMAT_text, LOG_LEVEL_info); // for the teardown
}

// A file is appended to, and not readable for everybody.
static void test_appends(void **state)
{
	(void)state;
	log_one("user", STR("anna"));
	open_log(logged.path, LOG_FORMAT_text, LOG_LEVEL_info);
	log_one("user", STR("berta"));
	look();
	next_line();
	next_line();
	assert_true(str_is_empty(logged.all));
}

// Every piece that is written is whole lines and at most PIPE_BUF bytes: a
// socket of packets (in place of a pipe) keeps pieces apart.
static void test_pieces(void **state)
{
	static char piece[2 * PIPE_BUF], value[700];
	int ends[2], old = dup(STDERR_FILENO);
	size_t lines = 0;
	ssize_t n;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	open_log("stderr", LOG_FORMAT_text, LOG_LEVEL_info);
	dup2(ends[0], STDERR_FILENO);
	log_set_buffered(true);
	for (size_t i = 0; i < 50; i++)
		log_one("user", check_fill(value, sizeof(value), 'x', i * 13 + 1));
	log_flush();
	dup2(old, STDERR_FILENO);
	close(old);
	close(ends[0]);
	while ((n = read(ends[1], piece, sizeof(piece))) > 0) {
		assert_in_range(n, 1, PIPE_BUF);
		assert_int_equal(piece[n - 1], '\n');
		for (ssize_t i = 0; i < n; i++)
			lines += piece[i] == '\n';
	}
	close(ends[1]);
	assert_int_equal(lines, 50);
}

// Logs to a full disk, then to a file: the lines lost are told there.
static void lose_lines(unsigned lines, enum log_format format, enum log_level level)
{
	open_log("/dev/full", format, level);
	for (unsigned i = 0; i < lines; i++)
		log_why(LOG_start_failed, "a line that is lost");
	open_log(logged.path, format, level);
	log_why(LOG_start_failed, "a line that arrives");
	look();
}

static void test_lost(void **state)
{
	(void)state;
	lose_lines(3, LOG_FORMAT_text, LOG_LEVEL_info);
	check_str(STR("told"), str_drop(next_line(), 24),
	    STR(" warn log_lines_lost message=\"lines could not be written to the log\" lines=3"));
	next_line();
	assert_true(str_is_empty(logged.all));
	log_one("user", STR("anna")); // told once
	look();
	next_line();
	next_line();
	next_line();
	assert_true(str_is_empty(logged.all));
}

static void test_lost_json(void **state)
{
	(void)state;
	lose_lines(3, LOG_FORMAT_json, LOG_LEVEL_info);
	struct str line = next_line();
	check_str(line, str_drop(line, line.len - 11), STR(",\"lines\":3}"));
	next_line();
	assert_true(str_is_empty(logged.all));
}

// Leaves nothing on the stack that looks like a line.
static void soil_stack(void)
{
	volatile char room[4 * LOG_LINE_MAX];
	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 1;
}

// Who wants errors only still gets them, and nothing that is no line of ours.
static void test_lost_at_error(void **state)
{
	(void)state;
	soil_stack();
	lose_lines(3, LOG_FORMAT_text, LOG_LEVEL_error);
	struct str line = str_drop(next_line(), 24);
	if (str_starts_nocase(line, STR(" warn log_lines_lost ")))
		line = str_drop(next_line(), 24);
	check(line, str_starts_nocase(line, STR(" error start_failed ")));
	check(line, str_has_nocase(line, STR(" why=\"a line that arrives\"")));
	check_str(STR("nothing more"), logged.all, STR(""));
}

// Telling of lost lines may fail as well; the sum stays right.
static void test_lost_in_pieces(void **state)
{
	(void)state;
	open_log("/dev/full", LOG_FORMAT_text, LOG_LEVEL_info);
	log_set_buffered(true);
	for (unsigned piece = 0; piece < 3; piece++) {
		for (unsigned i = 0; i < 5; i++)
			log_one("user", STR("anna"));
		log_flush();
	}
	log_set_buffered(false);
	open_log(logged.path, LOG_FORMAT_text, LOG_LEVEL_info);
	log_one("user", STR("berta"));
	struct str line = first_line(0);
	check_str(line, str_drop(line, line.len - 9), STR(" lines=15"));
}

// A disk that fills up in the middle of a line tears it; the next line begins
// on a line of its own all the same.
static void test_torn_line(void **state)
{
	struct rlimit old, small;
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){30, old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	log_one("user", STR("anna"));
	setrlimit(RLIMIT_FSIZE, &old);
	log_one("user", STR("berta"));
	look();
	assert_int_equal(next_line().len, 30);
	struct str line = next_line();
	check_str(line, str_drop(line, line.len - 8), STR(" lines=1"));
	check_time(str_take(next_line(), 24));
}

#define ROW(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_text),
	    ROW(test_json),
	    ROW(test_fields),
	    ROW(test_message),
	    ROW(test_levels),
	    ROW(test_cut),
	    ROW(test_cut_exactly),
	    ROW(test_long_why),
	    ROW(test_buffered),
	    ROW(test_open_again),
	    ROW(test_open_refused),
	    ROW(test_can_open),
	    ROW(test_appends),
	    ROW(test_pieces),
	    ROW(test_lost),
	    ROW(test_lost_json),
	    ROW(test_lost_at_error),
	    ROW(test_lost_in_pieces),
	    ROW(test_torn_line),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
