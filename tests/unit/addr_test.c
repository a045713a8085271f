// addr_test.c: what addr_parse reads, addr_print prints; nothing else passes,
// and a v4-mapped address is the IPv4 address it stands for (RFC 4291 section
// 2.5.5.2).
#include "tests/kit/check.h"

#include <arpa/inet.h>

#include "proxy/base/addr.h"

static const struct {
	struct str in;
	uint16_t default_port;
	const char *printed; // NULL: refused
} parsed[] = {
    {STR("192.0.2.1:995"), 0, "192.0.2.1:995"},
    {STR("192.0.2.1:995"), 110, "192.0.2.1:995"},
    {STR("192.0.2.1"), 110, "192.0.2.1:110"},
    {STR("0.0.0.0:65535"), 0, "0.0.0.0:65535"},
    {STR("127.0.0.1:0"), 0, "127.0.0.1:0"},
    {STR("[2001:db8::1]:995"), 0, "[2001:db8::1]:995"},
    {STR("[2001:DB8:0:0::0:1]"), 995, "[2001:db8::1]:995"},
    {STR("2001:db8::1"), 995, "[2001:db8::1]:995"},
    {STR("::"), 995, "[::]:995"},
    {STR("[::]:1"), 0, "[::]:1"},
    {STR("[::ffff:192.0.2.1]:995"), 0, "192.0.2.1:995"},
    {STR("::ffff:192.0.2.1"), 110, "192.0.2.1:110"},
    {STR("::192.0.2.1"), 110, "[::192.0.2.1]:110"},
    {STR("192.0.2.1"), 0, NULL}, // a port is missing
    {STR("[2001:db8::1]"), 0, NULL},
    {STR("2001:db8::1"), 0, NULL},
    {STR("2001:db8::1:995"), 0, NULL}, // address or port: nobody knows
    {STR("192.0.2.1:"), 110, NULL},
    {STR("[::1]:"), 110, NULL},
    {STR("[::1]995"), 110, NULL},
    {STR("[::1"), 110, NULL},
    {STR("[]:995"), 110, NULL},
    {STR("["), 110, NULL},
    {STR("[192.0.2.1]:995"), 110, NULL},
    {STR("192.0.2.1:65536"), 110, NULL},
    {STR("192.0.2.1:-1"), 110, NULL},
    {STR("192.0.2.1: 995"), 110, NULL},
    {STR("192.0.2.1:99x"), 110, NULL},
    {STR(":995"), 110, NULL},
    {STR(""), 110, NULL},
    {STR("pop.example:995"), 110, NULL},
    {STR("192.0.2.256:995"), 110, NULL},
    {STR("192.0.2:995"), 110, NULL},
    {STR(" 192.0.2.1:995"), 110, NULL},
    {STR("fe80::1%lo"), 110, NULL},
    {STR("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"), 110, NULL},
    {STR("192.0.2.1\0:995"), 110, NULL}, // NUL ends nothing
    {STR("192.0.2.1\0.example:995"), 110, NULL},
    {STR("[::1\0]:995"), 110, NULL},
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(parsed); i++) {
		struct addr addr;
		char room[ADDR_TEXT_SIZE];
		struct text text = TEXT(room);
		bool valid = addr_parse(parsed[i].in, parsed[i].default_port, &addr);
		check(parsed[i].in, valid == (parsed[i].printed != NULL));
		if (!valid)
			continue;
		addr_print(&addr, &text);
		check_str(parsed[i].in, text_str(&text), str_of(parsed[i].printed));
	}
}

// What is printed is read as the same address.
static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(parsed); i++) {
		struct addr addr, again;
		char room[ADDR_TEXT_SIZE];
		struct text text = TEXT(room);
		if (!parsed[i].printed)
			continue;
		assert_true(addr_parse(parsed[i].in, parsed[i].default_port, &addr));
		addr_print(&addr, &text);
		check(parsed[i].in, addr_parse(text_str(&text), 0, &again));
		check(parsed[i].in, addr_eq(&addr, &again));
	}
}

static void test_longest_fits(void **state)
{
	char room[ADDR_TEXT_SIZE];
	struct text text = TEXT(room);
	struct addr addr = {.v6 = {.sin6_family = AF_INET6}};
	(void)state;
	memset(&addr.v6.sin6_addr, 0xfe, sizeof(addr.v6.sin6_addr));
	addr_set_port(&addr, 65535);
	addr_print(&addr, &text);
	assert_false(text.truncated);
	assert_string_equal(room, "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:65535");
}

static void test_print_ip(void **state)
{
	static const struct str rows[][2] = {
	    {STR("192.0.2.1:995"), STR("192.0.2.1")},
	    {STR("[2001:db8::1]:995"), STR("2001:db8::1")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct addr addr;
		char room[ADDR_TEXT_SIZE];
		struct text text = TEXT(room);
		assert_true(addr_parse(rows[i][0], 0, &addr));
		addr_print_ip(&addr, &text);
		check_str(rows[i][0], text_str(&text), rows[i][1]);
	}
}

static void test_of_the_kernel(void **state)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(995)};
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(995)};
	struct addr a, b;
	(void)state;
	assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr), 1);
	a = addr_of((struct sockaddr *)&v4);
	b = addr_of((struct sockaddr *)&mapped);
	assert_true(addr_eq(&a, &b));
	assert_int_equal(b.any.sa_family, AF_INET);
	assert_int_equal(addr_port(&b), 995);
	assert_int_equal(addr_len(&b), sizeof(struct sockaddr_in));
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &mapped.sin6_addr), 1);
	b = addr_of((struct sockaddr *)&mapped);
	assert_int_equal(addr_len(&b), sizeof(struct sockaddr_in6));
	assert_memory_equal(&b.v6, &mapped, sizeof(mapped));
}

// A client on a UNIX socket has an address of no family we know.
static void test_of_another_family(void **state)
{
	struct sockaddr other = {.sa_family = AF_UNIX};
	struct addr addr = addr_of(&other);
	char room[ADDR_TEXT_SIZE];
	struct text text = TEXT(room);
	(void)state;
	addr_print_ip(&addr, &text);
	assert_string_equal(room, "?");
	assert_false(addr_is_loopback(&addr));
}

static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
    {"192.0.2.1:995", "192.0.2.1:995", true},
    {"192.0.2.1:995", "192.0.2.1:110", false},
    {"192.0.2.1:995", "192.0.2.2:995", false},
    {"[::1]:995", "[0::0:1]:995", true},
    {"[::1]:995", "[::1]:110", false},
    {"[::1]:995", "[::2]:995", false},
    {"[::]:995", "0.0.0.0:995", false},
    {"[::ffff:192.0.2.1]:995", "192.0.2.1:995", true},
};

static void test_eq(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(pairs); i++) {
		struct addr a, b;
		assert_true(addr_parse(str_of(pairs[i].a), 0, &a));
		assert_true(addr_parse(str_of(pairs[i].b), 0, &b));
		check(str_of(pairs[i].a), addr_eq(&a, &b) == pairs[i].same);
		check(str_of(pairs[i].a), addr_eq(&b, &a) == pairs[i].same);
	}
}

// Link-local addresses of two interfaces are two addresses.
static void test_eq_scope(void **state)
{
	struct addr a, b;
	(void)state;
	assert_true(addr_parse(STR("[fe80::1]:995"), 0, &a));
	b = a;
	b.v6.sin6_scope_id = 2;
	assert_false(addr_eq(&a, &b));
}

static void test_set_port(void **state)
{
	struct addr addr;
	(void)state;
	assert_true(addr_parse(STR("[::1]:995"), 0, &addr));
	addr_set_port(&addr, 256);
	assert_int_equal(addr_port(&addr), 256);
	assert_true(addr_parse(STR("192.0.2.1:995"), 0, &addr));
	addr_set_port(&addr, 1);
	assert_int_equal(addr_port(&addr), 1);
}

static void test_loopback(void **state)
{
	static const struct {
		const char *addr;
		bool loopback;
	} rows[] = {
	    {"127.0.0.1:1", true},
	    {"127.255.255.255:1", true},
	    {"[::1]:1", true},
	    {"[::ffff:127.0.0.1]:1", true},
	    {"126.255.255.255:1", false},
	    {"128.0.0.1:1", false},
	    {"0.0.0.0:1", false},
	    {"[::]:1", false},
	    {"[::2]:1", false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct addr addr;
		assert_true(addr_parse(str_of(rows[i].addr), 0, &addr));
		check(str_of(rows[i].addr), addr_is_loopback(&addr) == rows[i].loopback);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_longest_fits),
	    cmocka_unit_test(test_print_ip),
	    cmocka_unit_test(test_of_the_kernel),
	    cmocka_unit_test(test_of_another_family),
	    cmocka_unit_test(test_eq),
	    cmocka_unit_test(test_eq_scope),
	    cmocka_unit_test(test_set_port),
	    cmocka_unit_test(test_loopback),
	};
	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
