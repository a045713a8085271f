// range_test.c: what range_parse reads, range_print prints in its shortest form,
// and how many addresses that is; what is refused, and what the message says.
#include "tests/kit/check.h"

#include "policy/range.h"

static const struct {
	struct str in;
	const char *printed;
	const char *count;
} accepted[] = {
    {STR("192.0.2.1"), "192.0.2.1", "1"},
    {STR("192.0.2.1/32"), "192.0.2.1", "1"},
    {STR("131.107.2.0/255.255.255.0"), "131.107.2.0/24", "256"},
    {STR("131.107.2.4/255.255.255.252"), "131.107.2.4/30", "4"}, // not 6
    {STR("131.107.2.4/255.255.255.255"), "131.107.2.4", "1"},
    {STR("0.0.0.0/0"), "0.0.0.0/0", "4294967296"},
    {STR("0.0.0.0/0.0.0.0"), "0.0.0.0/0", "4294967296"},
    {STR("128.0.0.0/128.0.0.0"), "128.0.0.0/1", "2147483648"},
    {STR("192.0.2.10-192.0.2.40"), "192.0.2.10-192.0.2.40", "31"},
    {STR("192.0.2.10 - 192.0.2.40"), "192.0.2.10-192.0.2.40", "31"},
    {STR("192.0.2.1-192.0.2.254"), "192.0.2.1-192.0.2.254", "254"},
    {STR("192.0.2.0-192.0.2.255"), "192.0.2.0/24", "256"},
    {STR("192.0.2.1-192.0.2.1"), "192.0.2.1", "1"},
    {STR("0.0.0.0-255.255.255.255"), "0.0.0.0/0", "4294967296"},
    {STR("2001:db8::1"), "2001:db8::1", "1"},
    {STR("2001:DB8::/32"), "2001:db8::/32", "2^96"},
    {STR("2001:db8::/64"), "2001:db8::/64", "2^64"},
    {STR("2001:db8::/127"), "2001:db8::/127", "2"},
    {STR("2001:db8::/128"), "2001:db8::", "1"},
    {STR("8000::/1"), "8000::/1", "2^127"},
    {STR("::/0"), "::/0", "2^128"},
    {STR("2001:db8::1-2001:db8::4"), "2001:db8::1-2001:db8::4", "4"},
    {STR("2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::"),
        "2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::", "2"},
    {STR("2001:db8::-2001:db8:0:2:ffff:ffff:ffff:ffff"),
        "2001:db8::-2001:db8:0:2:ffff:ffff:ffff:ffff", "about 5.5e+19"},
    {STR("2001:db8::-2001:db8::2:0:0"), "2001:db8::-2001:db8::2:0:0", "8589934593"},
    {STR("::ffff:192.0.2.1"), "192.0.2.1", "1"},
    {STR("::ffff:192.0.2.0/120"), "192.0.2.0/24", "256"},
    {STR("::ffff:0.0.0.0/96"), "0.0.0.0/0", "4294967296"},
    {STR("::ffff:192.0.2.1-::ffff:192.0.2.9"), "192.0.2.1-192.0.2.9", "9"},
};

static const struct {
	struct str in;
	const char *why; // part of the message
} refused[] = {
    {STR(""), "is no address"},
    {STR("office.contoso.com"), "\"office.contoso.com\" is no address"},
    {STR("192.0.2"), "is no address"},
    {STR("192.0.2.256"), "is no address"},
    {STR("192.0.2.1:25"), "is no address"},
    {STR("[2001:db8::1]"), "is no address"},
    {STR("fe80::1%lo"), "is no address"},
    {STR("192.0.2.1\0"), "\"192.0.2.1?\" is no address"},
    {STR("192.0.2.1 192.0.2.2"), "is no address"},
    {STR("\x1b[2J"), "\"?[2J\""},
    {STR("131.107.2.7/24"), "131.107.2.7/24 has bits beyond its mask; write 131.107.2.0/24"},
    {STR("131.107.2.7/255.255.255.0"), "write 131.107.2.0/24"},
    {STR("10.0.0.1/0"), "write 0.0.0.0/0"},
    {STR("2001:db8::1/64"), "write 2001:db8::/64"},
    {STR("::ffff:192.0.2.1/120"), "write 192.0.2.0/24"},
    {STR("192.0.2.0/33"), "/33 is no mask of such an address; it has 0 to 32 bits"},
    {STR("2001:db8::/129"), "0 to 128 bits"},
    {STR("::ffff:192.0.2.0/24"), "96 to 128 bits"},
    {STR("192.0.2.0/18446744073709551640"), "is no mask"},
    {STR("192.0.2.0/"), "\"\" is no mask"},
    {STR("192.0.2.0/-1"), "is no mask"},
    {STR("192.0.2.0/+24"), "is no mask"},
    {STR("192.0.2.0/24/24"), "is no mask"},
    {STR("192.0.2.0/24-192.0.2.1"), "is no mask"},
    {STR("192.0.2.0/255.0.255.0"), "its one bits must come first"},
    {STR("192.0.2.0/0.0.0.255"), "its one bits must come first"},
    {STR("2001:db8::/255.255.0.0"), "is no mask"},
    {STR("192.0.2.0/ffff::"), "is no mask"},
    {STR("/24"), "\"\" is no address"},
    {STR("192.0.2.9-192.0.2.1"), "write 192.0.2.1-192.0.2.9"},
    {STR("192.0.2.9-"), "is no range"},
    {STR("-192.0.2.9"), "is no range"},
    {STR("192.0.2.1-40"), "is no range"},
    {STR("192.0.2.1-192.0.2.2-192.0.2.3"), "is no range"},
    {STR("192.0.2.1-2001:db8::1"), "of IPv4 or of IPv6"},
};

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(accepted); i++) {
		struct addr_range range;
		char why_room[256], room[RANGE_TEXT_SIZE], count_room[64];
		struct text why = TEXT(why_room), text = TEXT(room), count = TEXT(count_room);
		check(accepted[i].in, range_parse(accepted[i].in, &range, &why));
		range_print(&range, &text);
		check_str(accepted[i].in, text_str(&text), str_of(accepted[i].printed));
		range_print_count(range_count(&range), &count);
		check_str(accepted[i].in, text_str(&count), str_of(accepted[i].count));
	}
}

// What is printed is read as the same range.
static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(accepted); i++) {
		struct addr_range range, again;
		char why_room[256];
		struct text why = TEXT(why_room);
		struct str printed = str_of(accepted[i].printed);
		assert_true(range_parse(accepted[i].in, &range, &why));
		check(printed, range_parse(printed, &again, &why));
		check(printed, range_covers(&range, &again) && range_covers(&again, &range));
	}
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refused); i++) {
		struct addr_range range;
		char room[256];
		struct text why = TEXT(room);
		check(refused[i].in, !range_parse(refused[i].in, &range, &why));
		check(refused[i].in, !why.truncated && !str_has_control(text_str(&why)));
		if (!str_has_nocase(text_str(&why), str_of(refused[i].why)))
			check_str(refused[i].in, text_str(&why), str_of(refused[i].why));
	}
}

static void test_longest(void **state)
{
	char long_room[4096], room[512];
	struct text why = TEXT(room);
	struct addr_range range;
	(void)state;
	struct str s = check_fill(long_room, sizeof(long_room), '1', 4000);
	assert_false(range_parse(s, &range, &why));
	long_room[0] = '/';
	assert_false(range_parse(s, &range, &why));
	long_room[0] = '-';
	assert_false(range_parse(s, &range, &why));
	assert_false(why.truncated);
}

static const struct {
	const char *range, *addr;
	bool contained;
} pairs[] = {
    {"192.0.2.0/24", "192.0.2.0:1", true},
    {"192.0.2.0/24", "192.0.2.255:1", true},
    {"192.0.2.0/24", "[::ffff:192.0.2.255]:1", true},
    {"192.0.2.0/24", "192.0.1.255:1", false},
    {"192.0.2.0/24", "192.0.3.0:1", false},
    {"0.0.0.0/0", "255.255.255.255:1", true},
    {"0.0.0.0/0", "[::1]:1", false},
    {"::/0", "192.0.2.1:1", false},
    {"::/96", "0.0.0.1:1", false},
    {"2001:db8::/32", "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1", true},
    {"2001:db8::/32", "[2001:db9::]:1", false},
    {"2001:db8::1-2001:db8:0:1::", "[2001:db8::ffff:ffff:ffff:ffff]:1", true},
    {"2001:db8::1-2001:db8:0:1::", "[2001:db8:0:1::1]:1", false},
};

static struct addr_range parse(const char *s)
{
	struct addr_range range;
	char room[256];
	struct text why = TEXT(room);
	assert_true(range_parse(str_of(s), &range, &why));
	return range;
}

static void test_contains(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(pairs); i++) {
		struct addr_range range = parse(pairs[i].range);
		struct addr addr;
		assert_true(addr_parse(str_of(pairs[i].addr), 0, &addr));
		struct addr_range one = range_of_addr(&addr);
		check(str_of(pairs[i].addr), range_contains(&range, &addr) == pairs[i].contained);
		check(str_of(pairs[i].addr), range_covers(&range, &one) == pairs[i].contained);
	}
}

static void test_covers(void **state)
{
	struct addr_range wide = parse("192.0.2.0/24"), low = parse("192.0.2.0/25");
	struct addr_range beyond = parse("192.0.2.200-192.0.3.0");
	(void)state;
	assert_true(range_covers(&wide, &wide));
	assert_true(range_covers(&wide, &low));
	assert_false(range_covers(&low, &wide));
	assert_false(range_covers(&wide, &beyond));
	assert_false(range_covers(&beyond, &wide));
}

// A client on a UNIX socket has an address of no family we know.
static void test_of_another_family(void **state)
{
	struct addr_range all = parse("0.0.0.0/0");
	struct addr addr = {.any.sa_family = AF_UNIX};
	(void)state;
	assert_false(range_contains(&all, &addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_contains),
	    cmocka_unit_test(test_covers),
	    cmocka_unit_test(test_of_another_family),
	};
	return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
