// dns_answer_test.c: what is asked, which names are host names, and what comes
// out of answers, honest and not.
#include "proxy/net/dns_answer.h"

#include <stdlib.h>

#include "tests/kit/check.h"
#include "tests/kit/dns.h"

static struct dns_query query;
static struct dns_message message;
static struct dns_answer answer;

static struct str query_str(void)
{
	return (struct str){(const char *)query.at, query.len};
}

static struct addr addr_of_text(const char *text)
{
	struct addr addr;
	assert_true(addr_parse(str_of(text), 1, &addr));
	return addr;
}

static void ask_reverse(const char *text)
{
	struct addr addr = addr_of_text(text);
	dns_query_reverse(&query, &addr);
	dns_begin(&message, query_str(), DNS_RCODE_OK);
}

static void ask_host(enum dns_type type, const char *name)
{
	assert_true(dns_query_host(&query, type, str_of(name)));
	dns_begin(&message, query_str(), DNS_RCODE_OK);
}

static void parse(void)
{
	dns_answer_parse(dns_message_str(&message), &query, &answer);
}

static void check_name(size_t i, const char *wanted)
{
	assert_true(i < answer.num_names);
	check_str(str_of(wanted), dns_name_str(&answer.names[i]), str_of(wanted));
}

// ---- questions ----------------------------------------------------------

static void test_query(void **state)
{
	static const char wanted[] = "\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
	                             "\x01"
	                             "9\x01"
	                             "2\x01"
	                             "0\x03"
	                             "192\x07in-addr\x04"
	                             "arpa\x00\x00\x0c\x00\x01"
	                             "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
	struct str bytes = {wanted, sizeof(wanted) - 1};
	(void)state;
	ask_reverse("192.0.2.9");
	check_str(STR("IPv4"), query_str(), bytes);
	assert_true(dns_query_has_edns(&query));
	dns_query_drop_edns(&query);
	assert_false(dns_query_has_edns(&query));
	check_str(STR("without EDNS"), str_drop(query_str(), DNS_HEADER_SIZE),
	    str_drop(str_take(bytes, bytes.len - DNS_OPT_SIZE), DNS_HEADER_SIZE));
	assert_int_equal(query.at[11], 0);
	dns_query_set_id(&query, 0x1234);
	assert_memory_equal(query.at, "\x12\x34", 2);
}

static void test_query_of_ipv6(void **state)
{
	(void)state;
	ask_reverse("2001:db8::1f");
	assert_memory_equal(query.at + DNS_HEADER_SIZE,
	    "\x01"
	    "f\x01"
	    "1\x01"
	    "0\x01"
	    "0",
	    8);
	assert_int_equal(query.question_len, 32 * 2 + 4 + 5 + 1 + 4);
	assert_int_equal(dns_query_type(&query), DNS_TYPE_PTR);
}

static void test_host_names(void **state)
{
	char longest[DNS_NAME_MAX + 2];
	static const struct {
		struct str name;
		bool is_host;
	} rows[] = {
	    {STR("mail.contoso.com"), true},
	    {STR("localhost"), true},
	    {STR("Mail-1.CONTOSO.com"), true},
	    {STR("_dmarc.contoso.com"), true},
	    {STR("3com.com"), true},
	    {STR("1.2.3.4.in-addr.arpa"), true},
	    {STR("a.0xg"), true},
	    {STR(""), false},
	    {STR("."), false},
	    {STR("a."), false},
	    {STR(".a"), false},
	    {STR("a..b"), false},
	    {STR("192.0.2.9"), false},
	    {STR("contoso.123"), false},
	    {STR("0x7f000001"), false},
	    {STR("127.0.0.0X1"), false},
	    {STR("2001:db8::1"), false},
	    {STR("a b.com"), false},
	    {STR("a/b.com"), false},
	    {STR("a\r\nb.com"), false},
	    {STR("a\0.com"), false},
	    {STR("\xc3\xa4.com"), false},
	    {STR("-a.com"), false},
	    {STR("a-.com"), false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i].name, dns_name_is_host(rows[i].name) == rows[i].is_host);
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 64 == 63 ? '.' : 'a';
	assert_true(dns_name_is_host((struct str){longest, DNS_NAME_MAX}));
	assert_false(dns_name_is_host((struct str){longest, DNS_NAME_MAX + 1}));
	assert_true(dns_query_host(&query, DNS_TYPE_A, (struct str){longest, DNS_NAME_MAX}));
	longest[63] = 'a';
	assert_false(dns_name_is_host((struct str){longest, 64}));
	assert_false(dns_query_host(&query, DNS_TYPE_A, STR("192.0.2.9")));
}

// ---- honest answers -----------------------------------------------------

static void test_ptr(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "@", DNS_TYPE_PTR, 300, "Mail.Contoso.COM");
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.ttl_s, 300);
	assert_int_equal(answer.num_names, 1);
	check_name(0, "mail.contoso.com");
}

// RFC 2317, the least lifetime counts; records of other names and types, and the
// order of records, do not.
static void test_chain(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "9.0/27.2.0.192.in-addr.arpa", DNS_TYPE_PTR, 200, "a.contoso.com");
	dns_add_name(&message, "other", DNS_TYPE_PTR, 1, "other.contoso.com");
	dns_add_addr(&message, "@", 1, "192.0.2.9");
	dns_add_name(&message, "9.0/27.2.0.192.IN-addr.arpa", DNS_TYPE_PTR, 100, "b.contoso.com");
	dns_add_name(&message, "@", DNS_CNAME, 50, "9.0/27.2.0.192.in-addr.arpa");
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.ttl_s, 50);
	assert_int_equal(answer.num_names, 2);
	check_name(0, "a.contoso.com");
	check_name(1, "b.contoso.com");
}

static void add_chain(unsigned links)
{
	ask_host(DNS_TYPE_A, "a.b");
	dns_add_name(&message, "@", DNS_CNAME, 9, "l1");
	for (unsigned i = 1; i < links; i++) {
		char from[4] = {'l', (char)('0' + i)}, to[4] = {'l', (char)('1' + i)};
		dns_add_name(&message, from, DNS_CNAME, 9, to);
	}
	char end[4] = {'l', (char)('0' + links)};
	dns_add_addr(&message, end, 9, "192.0.2.9");
	parse();
}

static void test_longest_chain(void **state)
{
	(void)state;
	add_chain(DNS_CHAIN_MAX);
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.num_addrs, 1);
	add_chain(DNS_CHAIN_MAX + 1);
	assert_int_equal(answer.status, DNS_MALFORMED);
}

static void test_addresses(void **state)
{
	struct addr v4 = addr_of_text("192.0.2.9"), v6 = addr_of_text("2001:db8::1");
	(void)state;
	addr_set_port(&v4, 0);
	addr_set_port(&v6, 0);
	ask_host(DNS_TYPE_A, "mail.contoso.com");
	dns_add_addr(&message, "@", 20, "192.0.2.9");
	dns_add_addr(&message, "@", 10, "2001:db8::1");
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.ttl_s, 20);
	assert_int_equal(answer.num_addrs, 1);
	assert_true(addr_eq(&answer.addrs[0], &v4));
	ask_host(DNS_TYPE_AAAA, "mail.contoso.com");
	dns_add(&message, "@", DNS_TYPE_AAAA, 5, STR("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x09"));
	dns_add_addr(&message, "@", 7, "2001:db8::1");
	parse();
	assert_int_equal(answer.num_addrs, 2);
	assert_true(addr_eq(&answer.addrs[0], &v4));
	assert_true(addr_eq(&answer.addrs[1], &v6));
	assert_int_equal(answer.ttl_s, 5);
}

static void check_negative(unsigned rcode, bool soa, enum dns_status status, uint32_t ttl_s)
{
	ask_reverse("192.0.2.9");
	message.at[3] = (unsigned char)(message.at[3] | rcode);
	if (soa)
		dns_add_soa(&message, 300, ttl_s);
	parse();
	assert_int_equal(answer.status, status);
	assert_int_equal(answer.ttl_s, ttl_s);
}

static void test_negative(void **state)
{
	(void)state;
	check_negative(DNS_RCODE_NXDOMAIN, true, DNS_NXDOMAIN, 55);
	check_negative(DNS_RCODE_NXDOMAIN, false, DNS_NXDOMAIN, 0);
	check_negative(DNS_RCODE_OK, true, DNS_NODATA, 55);
	check_negative(DNS_RCODE_OK, false, DNS_NODATA, 0);
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "@", DNS_CNAME, 40, "9.0/27.2.0.192.in-addr.arpa");
	dns_add_soa(&message, 41, 42);
	parse();
	assert_int_equal(answer.status, DNS_NODATA);
	assert_int_equal(answer.ttl_s, 40);
	// A server that says both is believed to know no such name.
	message.at[3] = (unsigned char)(message.at[3] | DNS_RCODE_NXDOMAIN);
	parse();
	assert_int_equal(answer.status, DNS_NXDOMAIN);
}

static void test_failures(void **state)
{
	static const enum dns_status wanted[] = {
	    [1] = DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_REFUSED, DNS_REFUSED, DNS_REFUSED};
	(void)state;
	for (unsigned rcode = 1; rcode < NUM(wanted); rcode++) {
		ask_reverse("192.0.2.9");
		message.at[3] = (unsigned char)rcode;
		dns_add_name(&message, "@", DNS_TYPE_PTR, 300, "mail.contoso.com");
		parse();
		assert_int_equal(answer.status, wanted[rcode]);
		assert_int_equal(answer.num_names, 0);
	}
}

// RFC 2181 section 8.
static void test_negative_lifetime(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "@", DNS_TYPE_PTR, 0x80000001, "mail.contoso.com");
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.ttl_s, 0);
}

// ---- lies ---------------------------------------------------------------

static void test_200_names(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	for (unsigned i = 0; i < 200; i++) {
		char name[] = "h000.contoso.com";
		name[1] = (char)('0' + i / 100), name[2] = (char)('0' + i / 10 % 10);
		name[3] = (char)('0' + i % 10);
		dns_add_name(&message, "@", DNS_TYPE_PTR, 200 - i, name);
	}
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.num_names, DNS_NAMES_MAX);
	assert_int_equal(answer.num_ignored, 200 - DNS_NAMES_MAX);
	check_name(7, "h007.contoso.com");
}

static void test_100_addresses(void **state)
{
	(void)state;
	ask_host(DNS_TYPE_A, "mail.contoso.com");
	for (unsigned i = 0; i < 100; i++)
		dns_add_addr(&message, "@", 60, "192.0.2.9");
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.num_addrs, DNS_ADDRS_MAX);
}

// The first ones count; what may stand behind them all cannot be known.
static void test_too_many_records(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	for (unsigned i = 0; i < 2000; i++)
		dns_add_name(&message, "@", DNS_TYPE_PTR, 60, "@");
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.num_names + answer.num_ignored, DNS_RECORDS_MAX);
	ask_reverse("192.0.2.9");
	for (unsigned i = 0; i < 2000; i++)
		dns_add_addr(&message, "@", 60, "192.0.2.9");
	parse();
	assert_int_equal(answer.status, DNS_MALFORMED);
}

static void test_illegal_names(void **state)
{
	static const struct str rows[] = {
	    STR("\x03"
	        "a b\x03"
	        "com\0"),
	    STR("\x04"
	        "a\r\nb\x03"
	        "com\0"),
	    STR("\x03"
	        "a\0b\x03"
	        "com\0"),
	    STR("\x03"
	        "a.b\x03"
	        "com\0"),
	    STR("\x02\xc3\xa4\x03"
	        "com\0"),
	    STR("\x03"
	        "192\x01"
	        "0\x01"
	        "2\x01"
	        "9\0"),
	    STR("\0"),
	};
	(void)state;
	ask_reverse("192.0.2.9");
	dns_add(&message, "@", DNS_TYPE_PTR, 10, rows[1]);
	parse();
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.num_names, 0);
	check_str(STR("as it came"), dns_name_str(&answer.illegal), STR("a\r\nb.com"));
	for (size_t i = 0; i < NUM(rows); i++)
		dns_add(&message, "@", DNS_TYPE_PTR, 20, rows[i]);
	dns_add_name(&message, "@", DNS_TYPE_PTR, 20, "mail.contoso.com");
	parse();
	assert_int_equal(answer.num_illegal, 1 + NUM(rows));
	assert_int_equal(answer.num_names, 1);
	check_name(0, "mail.contoso.com");
	assert_int_equal(answer.ttl_s, 10);
}

static void test_loop_of_names(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "@", DNS_CNAME, 60, "b");
	dns_add_name(&message, "b", DNS_CNAME, 60, "@");
	dns_add_name(&message, "@", DNS_TYPE_PTR, 60, "mail.contoso.com");
	parse();
	assert_int_equal(answer.status, DNS_MALFORMED);
}

// A record whose name is these bytes, at a known place.
static void check_pointer(const char *row, unsigned char first, int distance)
{
	ask_reverse("192.0.2.9");
	size_t at = message.len + 12;
	unsigned to = 0xc000U | (unsigned)((int)at + distance);
	dns_add(&message, "@", DNS_TYPE_PTR, 60, BYTES((char)(first | to >> 8), (char)to));
	parse();
	check(str_of(row), answer.status == DNS_MALFORMED);
}

static void test_compression(void **state)
{
	(void)state;
	check_pointer("to itself", 0, 0);
	check_pointer("forward", 0, 2);
	check_pointer("beyond the end", 0, 3000);
	ask_reverse("192.0.2.9");
	dns_add(&message, "@", DNS_TYPE_PTR, 60, STR("\x80\x0c"));
	parse();
	assert_int_equal(answer.status, DNS_MALFORMED);
	// Two pointers at each other.
	ask_reverse("192.0.2.9");
	unsigned at = (unsigned)message.len + 12;
	dns_add(&message, "@", 99, 60, BYTES((char)(0xc0 | (at + 14) >> 8), (char)(at + 14)));
	dns_add(&message, "@", DNS_TYPE_PTR, 60, BYTES((char)(0xc0 | at >> 8), (char)at));
	parse();
	assert_int_equal(answer.status, DNS_MALFORMED);
}

static void test_compressed_tail(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	unsigned at = (unsigned)message.len + 12;
	dns_add_name(&message, "@", DNS_TYPE_PTR, 60, "a.contoso.com");
	dns_add(&message, "@", DNS_TYPE_PTR, 60,
	    BYTES(1, 'b', (char)(0xc0 | (at + 2) >> 8), (char)(at + 2)));
	at = (unsigned)message.len - 4;
	dns_add(&message, "@", DNS_TYPE_PTR, 60, BYTES((char)(0xc0 | at >> 8), (char)at));
	parse();
	assert_int_equal(answer.status, DNS_OK);
	check_name(0, "a.contoso.com");
	check_name(1, "b.contoso.com");
	check_name(2, "b.contoso.com");
}

// Each pointer leads to a label before it, so the name would be endless.
static void test_name_too_long(void **state)
{
	struct dns_message wire = {.len = 0};
	(void)state;
	ask_reverse("192.0.2.9");
	for (unsigned i = 0; i < 5; i++) {
		size_t at = message.len + 12;
		unsigned to = i ? (unsigned)(at - 12 - 66) : 0;
		wire.len = 66;
		memset(wire.at, 'a', 64);
		wire.at[0] = 63;
		wire.at[64] = (unsigned char)(i ? 0xc0 | to >> 8 : 0);
		wire.at[65] = (unsigned char)to;
		wire.len -= i ? 0 : 1;
		if (i == 1)
			wire.at[65]++;
		dns_add(&message, "@", DNS_TYPE_PTR, 60, dns_message_str(&wire));
		parse();
		assert_int_equal(answer.status, i < 3 ? DNS_OK : DNS_MALFORMED);
	}
}

// A name behind so many pointers, each of which leads to the one before it.
static void follow_pointers(unsigned num)
{
	struct dns_message wire = {.len = 0};
	ask_reverse("192.0.2.9");
	unsigned to = (unsigned)message.len + 12;
	dns_add_name(&message, "@", DNS_TYPE_PTR, 60, "mail.contoso.com");
	unsigned at = (unsigned)message.len + 12;
	for (; num; num--, to = at, at += 2) {
		wire.at[wire.len++] = (unsigned char)(0xc0 | to >> 8);
		wire.at[wire.len++] = (unsigned char)to;
	}
	dns_add(&message, "@", 99, 60, str_take(dns_message_str(&wire), wire.len - 2));
	dns_add(&message, "@", DNS_TYPE_PTR, 60, str_drop(dns_message_str(&wire), wire.len - 2));
	parse();
}

static void test_many_pointers(void **state)
{
	(void)state;
	follow_pointers(127);
	assert_int_equal(answer.status, DNS_OK);
	check_name(1, "mail.contoso.com");
	follow_pointers(128);
	assert_int_equal(answer.status, DNS_MALFORMED);
	follow_pointers(8000);
	assert_int_equal(answer.status, DNS_MALFORMED);
}

static void test_wrong_lengths(void **state)
{
	static const struct {
		unsigned type;
		struct str bytes;
	} rows[] = {
	    {DNS_TYPE_A, STR("\x01\x02\x03")},
	    {DNS_TYPE_A, STR("\x01\x02\x03\x04\x05")},
	    {DNS_TYPE_AAAA, STR("\x01\x02\x03\x04")},
	    {DNS_TYPE_PTR, STR("\x01"
	                       "a\0x")},
	    {DNS_TYPE_PTR, STR("\x01"
	                       "a")},
	    {DNS_TYPE_PTR, STR("")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct dns_message *all = &message;
		if (rows[i].type == DNS_TYPE_PTR)
			ask_reverse("192.0.2.9");
		else
			ask_host((enum dns_type)rows[i].type, "a.b");
		dns_add(all, "@", rows[i].type, 60, rows[i].bytes);
		parse();
		check(rows[i].bytes, answer.status == DNS_MALFORMED);
	}
}

static void check_header(const char *row, size_t at, unsigned change)
{
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "@", DNS_TYPE_PTR, 60, "mail.contoso.com");
	message.at[at] = (unsigned char)(message.at[at] ^ change);
	parse();
	check(str_of(row), answer.status == DNS_MALFORMED);
}

static void test_not_an_answer(void **state)
{
	size_t end;
	(void)state;
	check_header("a query", 2, 0x80);
	check_header("another opcode", 2, 0x10);
	check_header("cut short", 2, 0x02);
	check_header("no question", 5, 1);
	check_header("two questions", 5, 3);
	check_header("another name", 13, 1);
	end = DNS_HEADER_SIZE + query.question_len;
	check_header("another type", end - 3, 0x20);
	check_header("another class", end - 1, 2);
	check_header("more records than there are", 7, 2);
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "@", DNS_TYPE_PTR, 60, "mail.contoso.com");
	memcpy(message.at + DNS_HEADER_SIZE + 11, "IN-ADDR", 5);
	parse();
	assert_int_equal(answer.status, DNS_OK);
}

// At every length: as much as the whole says or nothing, and nothing is read
// beyond it.  How many lengths say as much.
static unsigned check_cut(void)
{
	unsigned num_read = 0;
	parse();
	struct dns_answer whole = answer;
	for (size_t len = 0; len < message.len; len++) {
		char *exact = malloc(len + 1);
		memcpy(exact, message.at, len);
		dns_answer_parse((struct str){exact, len}, &query, &answer);
		free(exact);
		if (answer.status == DNS_MALFORMED)
			continue;
		num_read++;
		assert_int_equal(answer.status, whole.status);
		assert_int_equal(answer.ttl_s, whole.ttl_s);
		assert_int_equal(answer.num_names, whole.num_names);
	}
	return num_read;
}

static void test_cut_everywhere(void **state)
{
	(void)state;
	ask_reverse("192.0.2.9");
	dns_add_name(&message, "@", DNS_CNAME, 60, "9.0/27.2.0.192.in-addr.arpa");
	dns_add_name(&message, "9.0/27.2.0.192.in-addr.arpa", DNS_TYPE_PTR, 60, "a.contoso.com");
	assert_int_equal(check_cut(), 0);
	// What stands behind an answer does not matter to it.
	size_t len = message.len;
	dns_add_soa(&message, 30, 30);
	assert_int_equal(check_cut(), message.len - len);
	ask_host(DNS_TYPE_AAAA, "mail.contoso.com");
	dns_add_soa(&message, 60, 60);
	assert_int_equal(check_cut(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_query),
	    cmocka_unit_test(test_query_of_ipv6),
	    cmocka_unit_test(test_host_names),
	    cmocka_unit_test(test_ptr),
	    cmocka_unit_test(test_chain),
	    cmocka_unit_test(test_longest_chain),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_negative),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_negative_lifetime),
	    cmocka_unit_test(test_200_names),
	    cmocka_unit_test(test_100_addresses),
	    cmocka_unit_test(test_too_many_records),
	    cmocka_unit_test(test_illegal_names),
	    cmocka_unit_test(test_loop_of_names),
	    cmocka_unit_test(test_compression),
	    cmocka_unit_test(test_compressed_tail),
	    cmocka_unit_test(test_name_too_long),
	    cmocka_unit_test(test_many_pointers),
	    cmocka_unit_test(test_wrong_lengths),
	    cmocka_unit_test(test_not_an_answer),
	    cmocka_unit_test(test_cut_everywhere),
	};
	return cmocka_run_group_tests_name("dns_answer", tests, NULL, NULL);
}
