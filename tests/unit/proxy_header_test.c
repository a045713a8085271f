// proxy_header_test.c: headers of the PROXY protocol, versions 1 and 2: what
// they say, how long they are, and at which byte one that is none is known.
#include "tests/kit/check.h"

#include "proxy/net/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_BLOCK "\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x03\xe3"
#define V4_SOURCE "192.0.2.1:40000"
#define V4_DESTINATION "198.51.100.2:995"
#define V6_IP "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_BLOCK V6_IP V6_IP "\x9c\x40\x03\xe3"
#define V6_SOURCE "[2001:db8::1]:40000"
#define V6_DESTINATION "[2001:db8::1]:995"
#define MAPPED_IP "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"

// What a checksum of HAProxy's looks like: PP2_TYPE_CRC32C in network order.
#define CHECKED SIGNATURE "\x21\x11\x00\x13" V4_BLOCK "\x03\x00\x04"

#define LONGEST_V6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static const struct {
	struct str in;
	const char *source; // NULL: it is local
	const char *destination;
} good[] = {
    {STR("PROXY TCP4 192.0.2.1 198.51.100.2 40000 995\r\n"), V4_SOURCE, V4_DESTINATION},
    {STR("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "0.0.0.0:0", "255.255.255.255:65535"},
    {STR("PROXY TCP6 2001:db8::1 2001:DB8:0:0:0:0:0:1 40000 995\r\n"), V6_SOURCE, V6_DESTINATION},
    {STR("PROXY TCP6 " LONGEST_V6 " " LONGEST_V6 " 65535 65535\r\n"), "[" LONGEST_V6 "]:65535",
        "[" LONGEST_V6 "]:65535"},
    {STR("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 40000 995\r\n"), V4_SOURCE, V4_DESTINATION},
    {STR("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 40000 995\r\n"), V4_SOURCE, V6_DESTINATION},
    {STR("PROXY TCP6 :: ::1 1 2\r\n"), "[::]:1", "[::1]:2"},
    {STR("PROXY UNKNOWN\r\n"), NULL, NULL},
    {STR("PROXY UNKNOWN \r\n"), NULL, NULL},
    {STR("PROXY UNKNOWN " LONGEST_V6 " " LONGEST_V6 " 65535 65535\r\n"), NULL, NULL}, // 107 bytes
    {STR("PROXY UNKNOWN what\rever\n \0 \r\r\n"), NULL, NULL},
    {STR(SIGNATURE "\x21\x11\x00\x0c" V4_BLOCK), V4_SOURCE, V4_DESTINATION},
    {STR(SIGNATURE "\x21\x21\x00\x24" V6_BLOCK), V6_SOURCE, V6_DESTINATION},
    {STR(SIGNATURE "\x21\x21\x00\x24" MAPPED_IP V6_IP "\x9c\x40\x03\xe3"), V4_SOURCE,
        V6_DESTINATION},
    {STR(SIGNATURE "\x21\x11\x00\x0f" V4_BLOCK "\x04\x00\x00"), V4_SOURCE, V4_DESTINATION},
    {STR(SIGNATURE "\x21\x11\x00\x18" V4_BLOCK "\x01\x00\x04pop3\xee\x00\x02xy"), V4_SOURCE,
        V4_DESTINATION},
    {STR(CHECKED "\x7c\xfc\xca\x34"), V4_SOURCE, V4_DESTINATION},
    {STR(SIGNATURE "\x20\x00\x00\x00"), NULL, NULL}, // LOCAL
    {STR(SIGNATURE "\x20\x11\x00\x0c" V4_BLOCK), NULL, NULL},
    {STR(SIGNATURE "\x20\xff\x00\x03???"), NULL, NULL},
    {STR(SIGNATURE "\x21\x00\x00\x00"), NULL, NULL}, // UNSPEC
    {STR(SIGNATURE "\x21\x00\x00\x02??"), NULL, NULL},
    {STR(SIGNATURE "\x21\x01\x00\x00"), NULL, NULL},
    {STR(SIGNATURE "\x21\x10\x00\x0c" V4_BLOCK), NULL, NULL},
};

static void check_addr(struct str row, const struct addr *found, const char *wanted)
{
	char room[ADDR_TEXT_SIZE];
	struct text text = TEXT(room);
	addr_print(found, &text);
	check_str(row, text_str(&text), str_of(wanted));
}

static void check_good(struct str in, const char *source, const char *destination)
{
	struct proxy_header header;
	char room[256];
	struct text longer = TEXT(room);
	size_t used;
	check(in, proxy_header_parse(in, &header, &used) == PROXY_DONE);
	check(in, used == in.len && !header.why);
	check(in, header.is_local == !source);
	if (source) {
		check_addr(in, &header.source, source);
		check_addr(in, &header.destination, destination);
	}
	text_add(&longer, in);
	text_add(&longer, STR("\x16\x03\r\n"));
	check(in, proxy_header_parse(text_str(&longer), &header, &used) == PROXY_DONE);
	check(in, used == in.len);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(good); i++)
		check_good(good[i].in, good[i].source, good[i].destination);
}

static void test_every_prefix_is_incomplete(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(good); i++)
		for (size_t len = 0; len < good[i].in.len; len++) {
			struct proxy_header header;
			size_t used = 1;
			struct str prefix = str_take(good[i].in, len);
			check(
			    prefix, proxy_header_parse(prefix, &header, &used) == PROXY_INCOMPLETE);
			check(prefix, used == 0 && !header.why);
		}
}

// Each is known to be bad with its last byte, not before.
static const struct {
	struct str in;
	const char *why; // part of it
} bad[] = {
    {STR("\x16"), "no PROXY protocol header"},
    {STR("C"), "no PROXY protocol header"},
    {STR("PA"), "no PROXY protocol header"},
    {STR("p"), "no PROXY protocol header"},
    {STR("\n"), "no PROXY protocol header"},
    {STR("\r\nP"), "no PROXY protocol header"},
    {STR("PROXYT"), "no PROXY protocol header"},
    {STR("PROXY  "), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY \r"), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY TCP5"), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY TCP\r"), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY TCP4\r"), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY t"), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY UD"), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY UNKNOWNS"), "neither TCP4, TCP6 nor UNKNOWN"},
    {STR("PROXY TCP4  "), "announced family"},
    {STR("PROXY TCP4 :"), "announced family"},
    {STR("PROXY TCP4 2001:"), "announced family"},
    {STR("PROXY TCP4 192.0.2.1\t"), "announced family"},
    {STR("PROXY TCP4 192.0.2.1\r"), "announced family"},
    {STR("PROXY TCP4 192.0.2.01 "), "announced family"},
    {STR("PROXY TCP4 192.0.2.256 "), "announced family"},
    {STR("PROXY TCP4 192.0.2 "), "announced family"},
    {STR("PROXY TCP4 192.0.2.1. "), "announced family"},
    {STR("PROXY TCP4 192.0.2.100.1000"), "announced family"},
    {STR("PROXY TCP4 192.0.2.1 :"), "announced family"},
    {STR("PROXY TCP4 192.0.2.1 1 "), "announced family"},
    {STR("PROXY TCP6 192.0.2.1 "), "announced family"},
    {STR("PROXY TCP6 2001:db8::1 192.0.2.1 "), "announced family"},
    {STR("PROXY TCP6 ::1::2 "), "announced family"},
    {STR("PROXY TCP6 2001:db8::12345 "), "announced family"},
    {STR("PROXY TCP6 ["), "announced family"},
    {STR("PROXY TCP6 fe80::1%"), "announced family"},
    {STR("PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:000000"), "announced family"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2  "), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 -"), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 +"), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 01 "), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 00 "), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 65536 "), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 123456"), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 \r"), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 "), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 1\r"), "port"},
    {STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX"), "CR without LF"},
    {STR("PROXY UNKNOWN " LONGEST_V6 " " LONGEST_V6 " 65535 655350\r"), "107 bytes"},
    {STR("PROXY TCP6 0000:0000:0000:0000:0000:0000:255.255.255.255 "
         "0000:0000:0000:0000:0000:0000:255.255.255.255 1234"),
        "107 bytes"},
    {STR("\r\n\r\n\0\r\nQUIT\r"), "no PROXY protocol header"},
    {STR(SIGNATURE "\x11"), "neither version 1 nor 2"},
    {STR(SIGNATURE "\x31"), "neither version 1 nor 2"},
    {STR(SIGNATURE "\x22"), "unknown command"},
    {STR(SIGNATURE "\x21\x12"), "by UDP"},
    {STR(SIGNATURE "\x21\x22"), "by UDP"},
    {STR(SIGNATURE "\x21\x31"), "UNIX socket"},
    {STR(SIGNATURE "\x21\x32"), "UNIX socket"},
    {STR(SIGNATURE "\x21\x41"), "unknown address family"},
    {STR(SIGNATURE "\x21\x13"), "unknown address family"},
    {STR(SIGNATURE "\x21\x11\x00\x0b"), "too short"},
    {STR(SIGNATURE "\x21\x21\x00\x23"), "too short"},
    {STR(SIGNATURE "\x21\x11\x08\x01"), "2064 bytes"},
    {STR(SIGNATURE "\x20\x00\xff\xff"), "2064 bytes"},
    {STR(SIGNATURE "\x21\x11\x00\x0d" V4_BLOCK "\x04"), "cut off"},
    {STR(SIGNATURE "\x21\x11\x00\x0e" V4_BLOCK "\x04\x00"), "cut off"},
    {STR(SIGNATURE "\x21\x11\x00\x0f" V4_BLOCK "\x04\x00\x01"), "cut off"},
    {STR(SIGNATURE "\x21\x11\x00\x10" V4_BLOCK "\x04\xff\xff "), "cut off"},
    {STR(SIGNATURE "\x21\x11\x00\x10" V4_BLOCK "\x03\x00\x01 "), "four bytes"},
    {STR(CHECKED "\x7c\xfc\xca\x35"), "checksum is wrong"},
    {STR(CHECKED "\x34\xca\xfc\x7c"), "checksum is wrong"},
    {STR(CHECKED "\0\0\0\0"), "checksum is wrong"},
};

static void check_bad(struct str in, const char *why)
{
	struct proxy_header header;
	size_t used = 1;
	check(in, proxy_header_parse(in, &header, &used) == PROXY_BAD);
	check(in, used == 0 && header.why);
	check(in, str_has_nocase(str_of(header.why), str_of(why)));
}

static void test_bad_at_its_last_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(bad); i++) {
		struct proxy_header header;
		size_t used;
		struct str in = bad[i].in;
		check_bad(in, bad[i].why);
		for (size_t len = 0; len < in.len; len++)
			check(in, proxy_header_parse(str_take(in, len), &header, &used) ==
			              PROXY_INCOMPLETE);
	}
}

// The longest block there may be, filled with one extension; one byte of it
// missing.
static void test_longest(void **state)
{
	char room[PROXY_HEADER_MAX + 1] = SIGNATURE "\x21\x11\x08\x00" V4_BLOCK "\x04\x07\xf1";
	struct str in = {room, PROXY_HEADER_MAX};
	struct proxy_header header;
	size_t used;
	(void)state;
	assert_int_equal(proxy_header_parse(in, &header, &used), PROXY_DONE);
	assert_int_equal(used, PROXY_HEADER_MAX);
	in.len--;
	assert_int_equal(proxy_header_parse(in, &header, &used), PROXY_INCOMPLETE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_every_prefix_is_incomplete),
	    cmocka_unit_test(test_bad_at_its_last_byte),
	    cmocka_unit_test(test_longest),
	};
	return cmocka_run_group_tests_name("PROXY protocol", tests, NULL, NULL);
}
