// channel_test.c: messages come in order, with the descriptors that belong to
// them; what a version does not know is dropped, and so is what finds no room.
#include "tests/kit/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/server/channel.h"

enum { MANY = 100 * 1000 };

static int supervisor, worker;

static int open_channel(void **state)
{
	(void)state;
	return channel_open(&supervisor, &worker) ? 0 : -1;
}

static int close_channel(void **state)
{
	(void)state;
	close(supervisor);
	close(worker);
	return 0;
}

static unsigned count_descriptors(void)
{
	unsigned num = 0;
	DIR *folder = opendir("/proc/self/fd");
	assert_non_null(folder);
	while (readdir(folder))
		num++;
	closedir(folder);
	return num;
}

static void expect(int end, enum channel_message wanted)
{
	enum channel_message message;
	int fd;
	assert_int_equal(channel_receive(end, &message, &fd), CHANNEL_RECEIVED);
	assert_int_equal(message, wanted);
	assert_int_equal(fd, -1);
}

static void expect_nothing(int end, enum channel_result wanted)
{
	enum channel_message message;
	int fd;
	assert_int_equal(channel_receive(end, &message, &fd), wanted);
	assert_int_equal(fd, -1);
}

static int new_memory(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void send_memory(void)
{
	int fd = new_memory();
	assert_true(channel_send_fd(supervisor, CHANNEL_table, fd));
	close(fd);
}

static void test_in_order(void **state)
{
	(void)state;
	expect_nothing(worker, CHANNEL_EMPTY);
	channel_send(supervisor, CHANNEL_drain);
	channel_send(supervisor, CHANNEL_end);
	channel_send(worker, CHANNEL_ready);
	expect(worker, CHANNEL_drain);
	expect(worker, CHANNEL_end);
	expect_nothing(worker, CHANNEL_EMPTY);
	expect(supervisor, CHANNEL_ready);
}

static void test_end(void **state)
{
	(void)state;
	channel_send(supervisor, CHANNEL_drain);
	close(supervisor);
	expect(worker, CHANNEL_drain);
	expect_nothing(worker, CHANNEL_GONE);
	supervisor = -1;
}

static void test_descriptor(void **state)
{
	enum channel_message message;
	struct stat sent, received;
	int fd = new_memory(), copy;
	(void)state;
	channel_send(supervisor, CHANNEL_drain);
	assert_true(channel_send_fd(supervisor, CHANNEL_table, fd));
	channel_send(supervisor, CHANNEL_end);
	expect(worker, CHANNEL_drain);
	assert_int_equal(channel_receive(worker, &message, &copy), CHANNEL_RECEIVED);
	assert_int_equal(message, CHANNEL_table);
	assert_int_equal(fstat(fd, &sent), 0);
	assert_int_equal(fstat(copy, &received), 0);
	assert_true(sent.st_ino == received.st_ino);
	assert_true(fcntl(copy, F_GETFD) & FD_CLOEXEC);
	expect(worker, CHANNEL_end);
	close(fd);
	close(copy);
}

// As the supervisor reads: what a worker sends is not let in.
static void test_unwanted_descriptor(void **state)
{
	enum channel_message message;
	unsigned before = count_descriptors();
	(void)state;
	send_memory();
	assert_int_equal(channel_receive(worker, &message, NULL), CHANNEL_RECEIVED);
	assert_int_equal(message, CHANNEL_table);
	assert_int_equal(count_descriptors(), before);
}

static void test_two_descriptors(void **state)
{
	unsigned before = count_descriptors();
	int fds[2] = {new_memory(), new_memory()};
	char byte = CHANNEL_table;
	struct iovec bytes = {&byte, 1};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(fds))];
	} control = {.head = {CMSG_LEN(sizeof(fds)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr envelope = {.msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = CMSG_LEN(sizeof(fds))};
	enum channel_message message;
	int fd;
	(void)state;
	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	assert_int_equal(sendmsg(supervisor, &envelope, 0), 1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(channel_receive(worker, &message, &fd), CHANNEL_RECEIVED);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(count_descriptors(), before);
}

static void test_unknown(void **state)
{
	unsigned before = count_descriptors();
	int fd = new_memory();
	(void)state;
	assert_true(channel_send_fd(supervisor, (enum channel_message)'?', fd));
	close(fd);
	channel_send(supervisor, CHANNEL_drain);
	expect(worker, CHANNEL_drain);
	assert_int_equal(count_descriptors(), before);
}

static void expect_descriptor(void)
{
	enum channel_message message;
	int fd;
	assert_int_equal(channel_receive(worker, &message, &fd), CHANNEL_RECEIVED);
	assert_true(fd >= 0);
	close(fd);
}

// A worker that reads nothing costs the supervisor no time, and it knows; orders go
// through all the same.
static void test_no_room(void **state)
{
	int fd = new_memory(), sent = 0;
	(void)state;
	while (sent < MANY && channel_send_fd(supervisor, CHANNEL_table, fd))
		sent++;
	assert_in_range(sent, 1, MANY - 1);
	close(fd);
	channel_send(supervisor, CHANNEL_drain);
	while (sent--)
		expect_descriptor();
	expect(worker, CHANNEL_drain);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, open_channel, close_channel)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_in_order),
	    ROW(test_end),
	    ROW(test_descriptor),
	    ROW(test_unwanted_descriptor),
	    ROW(test_two_descriptors),
	    ROW(test_unknown),
	    ROW(test_no_room),
	};
	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
