// maildir_test.c: the sample store's reading of a Maildir, and what becomes of
// a message on its way to the wire.
//
// Each test has a fresh Maildir in a temporary folder, removed afterwards.
#include "backends/store/maildir.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/store/message.h"
#include "tests/kit/check.h"

static char folder[64];

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/maildir_test_XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 && mkdir("new", 0700) == 0 &&
	               mkdir("cur", 0700) == 0
	           ? 0
	           : -1;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *where)
{
	(void)stat;
	(void)type;
	(void)where;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, struct str content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.at, content.len), content.len);
	close(fd);
}

static struct maildir opened(void)
{
	char room[256];
	struct text why = TEXT(room);
	struct maildir maildir;
	if (!maildir_open(&maildir, ".", &why))
		fail_msg("refused: %s", room);
	return maildir;
}

// ---- the list -----------------------------------------------------------

static void test_order_and_uids(void **state)
{
	(void)state;
	static const char *const uids[] = {"9.a", "10.b", "10.c", "11.d,S=4"};
	put("new/11.d,S=4", STR("d"));
	put("cur/10.b:2,S", STR("b"));
	put("new/10.c", STR("c"));
	put("cur/9.a:2,", STR("a"));
	put("new/.hidden", STR("x"));
	struct maildir maildir = opened();
	assert_int_equal(maildir.num_messages, NUM(uids));
	for (size_t i = 0; i < NUM(uids); i++) {
		char room[80];
		struct text uid = TEXT(room);
		maildir_print_uid(&maildir, i, &uid);
		assert_string_equal(room, uids[i]);
	}
	maildir_close(&maildir);
}

// A message seen in new/ and, moved meanwhile, in cur/ again.
static void test_moved_while_listed(void **state)
{
	(void)state;
	put("new/1.a", STR("a"));
	put("cur/1.a:2,S", STR("a"));
	put("new/2.b", STR("b"));
	struct maildir maildir = opened();
	assert_int_equal(maildir.num_messages, 2);
	maildir_close(&maildir);
}

static void test_names_that_are_no_uids(void **state)
{
	(void)state;
	char longest[] =
	    "new/1234567890123456789012345678901234567890123456789012345678901234567890!";
	put(longest, STR("a"));
	put("new/with space", STR("b"));
	struct maildir maildir = opened();
	for (size_t i = 0; i < 2; i++) {
		char room[80];
		struct text uid = TEXT(room);
		maildir_print_uid(&maildir, i, &uid);
		assert_int_equal(uid.len, 16);
	}
	maildir_close(&maildir);
}

// What is not a readable file is no message.
static void test_odd_things(void **state)
{
	(void)state;
	assert_int_equal(mkdir("new/1.folder", 0700), 0);
	assert_int_equal(mkfifo("new/2.fifo", 0600), 0);
	assert_int_equal(symlink("/etc/passwd", "new/3.link"), 0);
	struct maildir maildir = opened();
	assert_int_equal(maildir.num_messages, 0);
	maildir_close(&maildir);
}

static void test_sizes(void **state)
{
	(void)state;
	static const struct {
		struct str content;
		uint64_t size;
	} rows[] = {
	    {{"", 0}, 0},
	    {{"a", 1}, 3},
	    {{"a\n", 2}, 3},
	    {{"a\r\n", 3}, 3},
	    {{"a\r", 2}, 3},
	    {{"\n\n", 2}, 4},
	    {{"a\n.b\nc", 6}, 10},
	    {{"a\r\nb\n", 5}, 6},
	};
	for (size_t i = 0; i < NUM(rows); i++) {
		put("new/1", rows[i].content);
		struct maildir maildir = opened();
		check(rows[i].content, maildir.messages[0].size == rows[i].size);
		maildir_close(&maildir);
		unlink("new/1");
	}
	put("new/2,S=1,W=77", STR("a"));
	struct maildir maildir = opened();
	assert_int_equal(maildir.messages[0].size, 77);
	maildir_close(&maildir);
}

static void test_refusals(void **state)
{
	(void)state;
	char room[256];
	struct text why = TEXT(room);
	struct maildir maildir;
	assert_false(maildir_open(&maildir, "absent", &why));
	assert_non_null(strstr(room, "No such file"));
	assert_int_equal(rmdir("cur"), 0);
	why = text_in(why.at, why.cap);
	assert_false(maildir_open(&maildir, ".", &why));
	assert_non_null(strstr(room, "its folder cur"));
	assert_int_equal(maildir.num_messages, 0);
}

static void test_too_many(void **state)
{
	(void)state;
	char room[256];
	struct text why = TEXT(room);
	struct maildir maildir;
	put("new/0", STR(""));
	for (int i = 1; i <= MAILDIR_MESSAGES_MAX; i++) {
		char name[32];
		snprintf(name, sizeof(name), "new/%d", i);
		assert_int_equal(link("new/0", name), 0);
	}
	assert_false(maildir_open(&maildir, ".", &why));
	assert_non_null(strstr(room, "more than 10000"));
	assert_int_equal(unlink("new/0"), 0);
	maildir = opened();
	assert_int_equal(maildir.num_messages, MAILDIR_MESSAGES_MAX);
	maildir_close(&maildir);
}

static void test_removing(void **state)
{
	(void)state;
	put("new/1", STR("a"));
	put("cur/2:2,S", STR("b"));
	put("new/3", STR("c"));
	struct maildir maildir = opened();
	maildir.messages[0].deleted = maildir.messages[1].deleted = true;
	assert_int_equal(access("new/1", F_OK), 0);
	assert_true(maildir_remove_deleted(&maildir));
	assert_int_equal(access("new/1", F_OK), -1);
	assert_int_equal(access("cur/2:2,S", F_OK), -1);
	assert_int_equal(access("new/3", F_OK), 0);
	assert_false(maildir_remove_deleted(&maildir));
	maildir_close(&maildir);
}

// ---- one message --------------------------------------------------------

struct sent {
	struct text text;
	char room[4 * MESSAGE_ROOM];
};

static void send(struct sent *sent, struct str content, uint64_t lines)
{
	enum message_result result;
	sent->text = TEXT(sent->room);
	put("new/1", content);
	struct message message = message_open(open("new/1", O_RDONLY), lines);
	while ((result = message_next(&message, &sent->text)) == MESSAGE_MORE)
		;
	assert_int_equal(result, MESSAGE_OVER);
	assert_false(sent->text.truncated);
	message_close(&message);
	unlink("new/1");
}

static void test_wire_form(void **state)
{
	(void)state;
	static struct sent sent;
	static const struct {
		struct str content;
		uint64_t lines;
		struct str wanted;
	} rows[] = {
	    {{"", 0}, MESSAGE_ALL_LINES, {".\r\n", 3}},
	    {{"A: b\n\nc\n", 8}, MESSAGE_ALL_LINES, {"A: b\r\n\r\nc\r\n.\r\n", 14}},
	    {{"A: b\r\n\r\nc", 9}, MESSAGE_ALL_LINES, {"A: b\r\n\r\nc\r\n.\r\n", 14}},
	    {{".\n..\n.c", 7}, MESSAGE_ALL_LINES, {"..\r\n...\r\n..c\r\n.\r\n", 17}},
	    {{"a\rb\r", 4}, MESSAGE_ALL_LINES, {"a\rb\r\n.\r\n", 8}},
	    {{"A\n\n1\n2\n", 7}, 0, {"A\r\n\r\n.\r\n", 8}},
	    {{"A\r\n\r\n1\n2\n", 9}, 1, {"A\r\n\r\n1\r\n.\r\n", 11}},
	    {{"A\n\n1\n2\n", 7}, 2, {"A\r\n\r\n1\r\n2\r\n.\r\n", 14}},
	    {{"A\n\n1\n\n3", 7}, 9, {"A\r\n\r\n1\r\n\r\n3\r\n.\r\n", 16}},
	    {{"A\nB\n", 4}, 0, {"A\r\nB\r\n.\r\n", 9}},
	};
	for (size_t i = 0; i < NUM(rows); i++) {
		send(&sent, rows[i].content, rows[i].lines);
		check_str(rows[i].content, text_str(&sent.text), rows[i].wanted);
	}
}

// A line end, a dot at a line's start and the empty line, each cut by the end
// of a piece, and a piece that doubles.
static void test_across_pieces(void **state)
{
	(void)state;
	static char content[MESSAGE_PIECE + 4];
	static struct sent sent;
	check_fill(content, sizeof(content), 'x', MESSAGE_PIECE);
	memcpy(content + MESSAGE_PIECE - 1, "\r\n.y\n", 5);
	send(&sent, (struct str){content, MESSAGE_PIECE + 4}, MESSAGE_ALL_LINES);
	check_str(
	    STR("cut"), str_drop(text_str(&sent.text), MESSAGE_PIECE - 1), STR("\r\n..y\r\n.\r\n"));

	memcpy(content + MESSAGE_PIECE - 2, "\n\r\nb\n", 5);
	send(&sent, (struct str){content, MESSAGE_PIECE + 3}, 0);
	check_str(
	    STR("top"), str_drop(text_str(&sent.text), MESSAGE_PIECE - 2), STR("\r\n\r\n.\r\n"));

	check_fill(content, sizeof(content), '\n', MESSAGE_PIECE);
	send(&sent, (struct str){content, MESSAGE_PIECE}, MESSAGE_ALL_LINES);
	assert_int_equal(sent.text.len, 2 * MESSAGE_PIECE + 3);
}

static void test_unreadable(void **state)
{
	(void)state;
	char room[64];
	struct text out = TEXT(room);
	struct message message = message_open(open(".", O_RDONLY | O_DIRECTORY), MESSAGE_ALL_LINES);
	assert_int_equal(message_next(&message, &out), MESSAGE_FAILED);
	message_close(&message);
}

#define WITH_MAILDIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_MAILDIR(test_order_and_uids),
	    WITH_MAILDIR(test_moved_while_listed),
	    WITH_MAILDIR(test_names_that_are_no_uids),
	    WITH_MAILDIR(test_odd_things),
	    WITH_MAILDIR(test_sizes),
	    WITH_MAILDIR(test_refusals),
	    WITH_MAILDIR(test_too_many),
	    WITH_MAILDIR(test_removing),
	    WITH_MAILDIR(test_wire_form),
	    WITH_MAILDIR(test_across_pieces),
	    WITH_MAILDIR(test_unreadable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
