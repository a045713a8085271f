// tcp.c: plain sockets.  See tcp.h.
#include "tests/kit/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/kit/check.h"

static int bound_socket(struct addr *out_addr)
{
	socklen_t len = sizeof(out_addr->v4);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(addr_parse(STR("127.0.0.1:0"), 0, out_addr));
	assert_int_equal(bind(fd, &out_addr->any, addr_len(out_addr)), 0);
	assert_int_equal(getsockname(fd, &out_addr->any, &len), 0);
	return fd;
}

int tcp_listen(struct addr *out_addr)
{
	int fd = bound_socket(out_addr);
	assert_int_equal(listen(fd, 1024), 0);
	return fd;
}

struct addr tcp_deaf_addr(void)
{
	struct addr addr;
	close(bound_socket(&addr));
	return addr;
}

int tcp_connect(const struct addr *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int status = connect(fd, &addr->any, addr_len(addr));
	assert_return_code(status, errno);
	return fd;
}

int tcp_accept(int listening)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

struct tcp_pair tcp_pair(int room)
{
	struct addr addr;
	int listening = tcp_listen(&addr);
	if (room)
		tcp_set_room(listening, room);
	struct tcp_pair pair = {.a = tcp_connect(&addr)};
	pair.b = tcp_accept(listening);
	if (room)
		tcp_set_room(pair.a, room);
	close(listening);
	return pair;
}

void tcp_set_room(int fd, int room)
{
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
}

void tcp_set_nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

void tcp_reset(int fd)
{
	struct linger at_once = {.l_onoff = 1};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
}
