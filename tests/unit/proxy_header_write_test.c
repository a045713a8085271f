// proxy_header_write_test.c: headers of the PROXY protocol as popgate writes them,
// byte by byte, and that they say what was meant to whoever reads them.
#include "tests/kit/check.h"

#include "proxy/net/proxy_header.h"
#include "proxy/net/proxy_header_write.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n\x21"
#define V4 "192.0.2.1:40000", "198.51.100.2:995"
#define V4_BLOCK "\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x03\xe3"
#define V6 "[2001:db8::1]:40000", "[2001:db8::2]:995"
#define V6_IP(last) "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0" last
#define MAPPED_IP "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
#define PORTS "\x9c\x40\x03\xe3"
#define TLS "\x20\x00\x0f\x01\0\0\0\x01\x21\x00\x07TLSv1.3"
#define LONGEST "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"

static const struct {
	const char *source, *destination;
	int version;
	const char *tls_version;
	struct str header;
} rows[] = {
    {V4, 1, NULL, STR("PROXY TCP4 192.0.2.1 198.51.100.2 40000 995\r\n")},
    {V6, 1, "TLSv1.3", STR("PROXY TCP6 2001:db8::1 2001:db8::2 40000 995\r\n")},
    {"192.0.2.1:40000", "[2001:db8::2]:995", 1, NULL,
        STR("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 40000 995\r\n")},
    {V4, 2, NULL, STR(SIGNATURE "\x11\x00\x0c" V4_BLOCK)},
    {V4, 2, "TLSv1.3", STR(SIGNATURE "\x11\x00\x1e" V4_BLOCK TLS)},
    {V6, 2, NULL, STR(SIGNATURE "\x21\x00\x24" V6_IP("\x01") V6_IP("\x02") PORTS)},
    {V6, 2, "TLSv1.3", STR(SIGNATURE "\x21\x00\x36" V6_IP("\x01") V6_IP("\x02") PORTS TLS)},
    {"192.0.2.1:40000", "[2001:db8::2]:995", 2, NULL,
        STR(SIGNATURE "\x21\x00\x24" MAPPED_IP V6_IP("\x02") PORTS)},
    {LONGEST, LONGEST, 1, NULL,
        STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n")},
};

static void test_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[PROXY_HEADER_ROOM];
		struct text out = TEXT(room);
		struct addr source, destination;
		struct proxy_header header;
		size_t used;
		assert_true(addr_parse(str_of(rows[i].source), 0, &source));
		assert_true(addr_parse(str_of(rows[i].destination), 0, &destination));
		if (rows[i].version == 1)
			proxy_header_write_v1(&source, &destination, &out);
		else
			proxy_header_write_v2(&source, &destination, rows[i].tls_version, &out);
		check_str(rows[i].header, text_str(&out), rows[i].header);
		check(rows[i].header,
		    !out.truncated &&
		        proxy_header_parse(text_str(&out), &header, &used) == PROXY_DONE &&
		        used == out.len && addr_eq(&header.source, &source) &&
		        addr_eq(&header.destination, &destination));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
