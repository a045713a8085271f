// listen_test.c: proxy/net/listen.h on real sockets: who was accepted and how,
// the last round at the end, and the rest when descriptors run out.
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/net/listen.h"
#include "tests/kit/bench.h"
#include "tests/kit/tcp.h"

enum { MANY = 200 }; // more than one turn takes

// A listener, those it accepted, and clients whose connections wait.
struct door {
	struct listen listen;
	struct addr addr;
	int accepted[MANY];
	struct addr peers[MANY];
	unsigned num_accepted, num_failed;
	int failed_errno;
	int clients[MANY];
	unsigned num_clients;
	bool close_at_first;
	int stranger; // a listening socket that got the closed one's number
};

static void on_accepted(struct listen *listen, int fd, const struct addr *peer)
{
	struct door *door = listen->context;
	door->accepted[door->num_accepted] = fd;
	door->peers[door->num_accepted++] = *peer;
	if (door->close_at_first && !listen->closing) {
		listen_close(listen);
		struct addr addr;
		door->stranger = tcp_listen(&addr);
		tcp_set_nonblocking(door->stranger);
		door->clients[door->num_clients++] = tcp_connect(&addr);
	}
}

static void on_failed(struct listen *listen)
{
	struct door *door = listen->context;
	door->failed_errno = errno;
	door->num_failed++;
}

// Listens at fd, or at a socket of its own when there is none (-1).
static void door_open(struct door *door, struct bench *bench, int fd)
{
	*door = (struct door){0};
	door->listen.on_accepted = on_accepted;
	door->listen.on_failed = on_failed;
	door->listen.context = door;
	fd = fd >= 0 ? fd : tcp_listen(&door->addr);
	tcp_set_nonblocking(fd);
	assert_true(listen_open(&door->listen, &bench->net, fd));
}

static void door_knock(struct door *door, unsigned times)
{
	while (times--)
		door->clients[door->num_clients++] = tcp_connect(&door->addr);
}

static void door_done(struct door *door, struct bench *bench)
{
	if (!door->listen.closing)
		listen_close(&door->listen);
	bench_settle(bench);
	for (unsigned i = 0; i < door->num_clients; i++)
		close(door->clients[i]);
	for (unsigned i = 0; i < door->num_accepted; i++)
		close(door->accepted[i]);
}

static void test_accepts(void **state)
{
	static struct door door;
	struct bench *bench = *state;
	struct addr client = {0};
	socklen_t len = sizeof(client);
	door_open(&door, bench, -1);
	door_knock(&door, 1);
	WAIT_UNTIL(bench, door.num_accepted == 1);
	assert_int_equal(getsockname(door.clients[0], &client.any, &len), 0);
	assert_true(addr_eq(&client, &door.peers[0]));
	assert_true(fcntl(door.accepted[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(door.accepted[0], F_GETFD) & FD_CLOEXEC);
	door_done(&door, bench);
	assert_int_equal(door.num_failed, 0);
}

// A client over IPv4 at a socket of IPv6 is a client over IPv4.
static void test_mapped_address(void **state)
{
	static struct door door;
	struct bench *bench = *state;
	socklen_t len = sizeof(struct sockaddr_in6);
	struct addr any = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT}};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, &any.any, addr_len(&any)) != 0) {
		close(fd);
		skip(); // no IPv6 here
	}
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, &any.any, &len), 0);
	door_open(&door, bench, fd);
	assert_true(addr_parse(STR("127.0.0.1:1"), 0, &door.addr));
	addr_set_port(&door.addr, addr_port(&any));
	door_knock(&door, 1);
	WAIT_UNTIL(bench, door.num_accepted == 1);
	assert_int_equal(door.peers[0].any.sa_family, AF_INET);
	assert_true(addr_is_loopback(&door.peers[0]));
	door_done(&door, bench);
}

static void test_accepts_many(void **state)
{
	static struct door door;
	struct bench *bench = *state;
	door_open(&door, bench, -1);
	door_knock(&door, MANY);
	uv_run(&bench->net.loop, UV_RUN_NOWAIT);
	assert_in_range(door.num_accepted, 1, MANY - 1); // others get their turn
	WAIT_UNTIL(bench, door.num_accepted == MANY);
	door_done(&door, bench);
	assert_int_equal(door.num_failed, 0);
}

// Who waits in the queue when a door is closed is let in first; who comes later
// is refused at once, not left waiting.
static void test_last_round(void **state)
{
	static struct door door;
	struct bench *bench = *state;
	door_open(&door, bench, -1);
	door_knock(&door, MANY - 1);
	listen_close(&door.listen);
	assert_int_equal(door.num_accepted, MANY - 1);
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(late, &door.addr.any, addr_len(&door.addr)), -1);
	close(late);
	bench_settle(bench);
	assert_int_equal(door.num_accepted, MANY - 1);
	door_done(&door, bench);
}

// Once closed, the listener keeps its hands off the descriptor's number, which
// may already be somebody else's.
static void test_close_inside_on_accepted(void **state)
{
	static struct door door;
	struct bench *bench = *state;
	door_open(&door, bench, -1);
	door.close_at_first = true;
	door_knock(&door, 10);
	WAIT_UNTIL(bench, door.num_accepted >= 10);
	bench_settle(bench);
	close(door.stranger);
	door_done(&door, bench);
	assert_int_equal(door.num_accepted, 10);
	assert_int_equal(door.num_failed, 0);
}

// Allows no descriptor beyond those that are open.
static void lower_limit(struct rlimit *old)
{
	int next = dup(0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, old), 0);
	struct rlimit now = {(rlim_t)next, old->rlim_max};
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

// Accepting rests (it does not spin), tells why, and goes on by itself.
static void test_no_descriptors(void **state)
{
	static struct door door;
	struct bench *bench = *state;
	struct rlimit old;
	door_open(&door, bench, -1);
	door_knock(&door, 3);
	lower_limit(&old);
	while (!door.num_failed)
		bench_step(bench, "failing to accept");
	for (int i = 0; i < 1000; i++)
		uv_run(&bench->net.loop, UV_RUN_NOWAIT);
	unsigned failed = door.num_failed;
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(door.failed_errno, EMFILE);
	assert_in_range(failed, 1, 10);
	assert_int_equal(door.num_accepted, 0);
	WAIT_UNTIL(bench, door.num_accepted == 3);
	door_done(&door, bench);
}

// Closing during the rest is as good as at any other time.
static void test_close_while_resting(void **state)
{
	static struct door door;
	struct bench *bench = *state;
	struct rlimit old;
	door_open(&door, bench, -1);
	door_knock(&door, 3);
	lower_limit(&old);
	while (!door.num_failed)
		bench_step(bench, "failing to accept");
	setrlimit(RLIMIT_NOFILE, &old);
	listen_close(&door.listen);
	assert_int_equal(door.num_accepted, 3);
	door_done(&door, bench);
}

static void test_open_refused(void **state)
{
	struct bench *bench = *state;
	struct listen listen = {0};
	errno = 0;
	assert_false(listen_open(&listen, &bench->net, -1));
	assert_int_not_equal(errno, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_accepts, clear_accepting),
	    ROW(test_mapped_address, clear_accepting),
	    ROW(test_accepts_many, clear_accepting),
	    ROW(test_last_round, clear_accepting),
	    ROW(test_close_inside_on_accepted, clear_accepting),
	    ROW(test_no_descriptors, clear_accepting),
	    ROW(test_close_while_resting, clear_accepting),
	    ROW(test_open_refused, clear_accepting),
	};
	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
