// port_owner_test.c: the holder of a port is found under every address that
// stands in the way, and under no other.
#include "tests/kit/check.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/server/port_owner.h"

static int listen_on(struct addr *addr)
{
	static const int off = 0;
	socklen_t len = sizeof(*addr);
	int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (addr->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	assert_return_code(bind(fd, &addr->any, addr_len(addr)), 0);
	assert_return_code(listen(fd, 1), 0);
	assert_return_code(getsockname(fd, &addr->any, &len), 0);
	return fd;
}

static const struct {
	struct str held, wanted;
	bool found;
} rows[] = {
    {STR("127.0.0.1:0"), STR("127.0.0.1:0"), true},
    {STR("127.0.0.1:0"), STR("0.0.0.0:0"), true},
    {STR("127.0.0.1:0"), STR("127.0.0.2:0"), false},
    {STR("0.0.0.0:0"), STR("127.0.0.1:0"), true},
    {STR("0.0.0.0:0"), STR("[::]:0"), false},
    {STR("[::]:0"), STR("127.0.0.1:0"), true},
    {STR("[::]:0"), STR("[::1]:0"), true},
    {STR("[::1]:0"), STR("[::]:0"), true},
    {STR("[::1]:0"), STR("127.0.0.1:0"), false},
};

static bool system_has_ipv6(void)
{
	struct addr addr;
	assert_true(addr_parse(STR("[::1]:0"), 0, &addr));
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && bind(fd, &addr.any, addr_len(&addr)) == 0;
	if (fd >= 0)
		close(fd);
	return has;
}

static void test_found(void **state)
{
	bool has_ipv6 = system_has_ipv6();
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct addr held, wanted;
		struct port_owner owner;
		check(rows[i].held, addr_parse(rows[i].held, 0, &held));
		check(rows[i].wanted, addr_parse(rows[i].wanted, 0, &wanted));
		if (!has_ipv6 && held.any.sa_family == AF_INET6)
			continue;
		int fd = listen_on(&held);
		addr_set_port(&wanted, addr_port(&held));
		bool found = port_owner_find(&wanted, &owner);
		check(rows[i].wanted, found == rows[i].found);
		check(rows[i].held, !found || owner.pid == getpid());
		// The kernel keeps the first 15 bytes of a program's name.
		check(
		    rows[i].held, !found || str_eq(str_of(owner.program), STR("port_owner_test")));
		close(fd);
		check(rows[i].held, !port_owner_find(&wanted, &owner));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_found)};
	return cmocka_run_group_tests_name("port_owner", tests, NULL, NULL);
}
