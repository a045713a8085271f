// rdns_cache_test.c: what was put in is found for as long as it should be, and
// the cache takes no more memory than it may, whoever fills it.
#include "policy/rdns_cache.h"
#include "tests/kit/check.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, MANY = 1000 * 1000 };

// What malloc keeps of what was given back to it, and still counts.
enum { MALLOC_ASIDE = 64 * 1024 };

static struct rdns_cache *open_cache(size_t bytes)
{
	struct rdns_cache_options options = {
	    .bytes = bytes, .min_ttl_ms = 30 * SECOND, .max_ttl_ms = 24 * HOUR, .secret = {{1, 2}}};
	return rdns_cache_new(&options);
}

static struct rdns_key key_of_text(const char *ip)
{
	struct addr addr;
	assert_true(addr_parse(str_of(ip), 1, &addr));
	return rdns_key_of(&addr);
}

// 10.0.0.0/8, with room for 16 million; neighbours are in one network.
static struct rdns_key key_number(uint32_t i)
{
	struct addr addr = {.v4 = {.sin_family = AF_INET, .sin_addr = {htonl(10u << 24 | i)}}};
	return rdns_key_of(&addr);
}

// As many addresses as anybody likes, in one /48 or in many.
static struct rdns_key key_v6(uint32_t network, uint32_t i)
{
	struct addr addr = {.v6 = {.sin6_family = AF_INET6}};
	addr.v6.sin6_addr.s6_addr32[0] = htonl(0x20010000 | network >> 16);
	addr.v6.sin6_addr.s6_addr16[2] = htons((uint16_t)network);
	addr.v6.sin6_addr.s6_addr32[3] = htonl(i);
	return rdns_key_of(&addr);
}

static void put_at(struct rdns_cache *cache, struct rdns_key key, enum rdns_status status,
    uint32_t ttl_s, uint64_t now)
{
	struct rdns_name name = {STR("host.example.org"), true};
	struct rdns_answer answer = {status, &name, status == RDNS_OK};
	rdns_cache_put(cache, &key, &answer, ttl_s, now);
}

static enum rdns_hit find_at(struct rdns_cache *cache, struct rdns_key key, uint64_t now)
{
	struct rdns_answer answer;
	return rdns_cache_find(cache, &key, now, &answer);
}

static void test_content(void **state)
{
	struct rdns_cache *cache = open_cache(1024 * 1024);
	char text[] = "a.example.org b.example.org";
	struct rdns_name names[] = {{{text, 13}, false}, {{text + 14, 13}, true}};
	struct rdns_answer answer = {RDNS_OK, names, 2}, found;
	struct rdns_key key = key_of_text("192.0.2.1"), other = key_of_text("192.0.2.2");
	struct rdns_key mapped = key_of_text("[::ffff:192.0.2.1]"),
	                v6 = key_of_text("[2001:db8::1]");
	(void)state;
	assert_int_equal(find_at(cache, key, 7), RDNS_MISS);
	rdns_cache_put(cache, &key, &answer, 60, 7);
	memset(text, 'x', sizeof(text));
	assert_int_equal(rdns_cache_find(cache, &key, 7, &found), RDNS_HIT);
	assert_int_equal(found.status, RDNS_OK);
	assert_int_equal(found.num_names, 2);
	check_str(STR("first"), found.names[0].name, STR("a.example.org"));
	check_str(STR("second"), found.names[1].name, STR("b.example.org"));
	assert_false(found.names[0].confirmed);
	assert_true(found.names[1].confirmed);
	assert_int_equal(find_at(cache, mapped, 7), RDNS_HIT);
	assert_int_equal(find_at(cache, other, 7), RDNS_MISS);
	assert_int_equal(find_at(cache, v6, 7), RDNS_MISS);
	put_at(cache, key, RDNS_NXDOMAIN, 60, 8);
	assert_int_equal(rdns_cache_find(cache, &key, 8, &found), RDNS_HIT);
	assert_int_equal(found.status, RDNS_NXDOMAIN);
	assert_int_equal(found.num_names, 0);
	rdns_cache_free(&cache);
	assert_null(cache);
	rdns_cache_free(&cache);
}

static void test_networks(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
	    {"192.0.2.1", "192.0.2.254", true},
	    {"192.0.2.1", "192.0.3.1", false},
	    {"2001:db8:1::1", "2001:db8:1:ffff::1", true},
	    {"2001:db8:1::1", "2001:db8:2::1", false},
	    {"::", "::fffe:c000:201", true},
	    {"::ffff:192.0.2.1", "192.0.2.9", true},
	    {"::1", "0.0.0.1", false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct rdns_key a = key_of_text(rows[i].a), b = key_of_text(rows[i].b);
		check(
		    str_of(rows[i].a), str_eq(rdns_network(&a), rdns_network(&b)) == rows[i].same);
	}
}

static void test_lives(void **state)
{
	static const struct {
		const char *name;
		enum rdns_status status;
		uint32_t ttl_s;
		uint64_t life_ms;
	} rows[] = {
	    {"names, no time", RDNS_OK, 0, 30 * SECOND},
	    {"names, a while", RDNS_OK, 100, 100 * SECOND},
	    {"names, for ever", RDNS_OK, UINT32_MAX, 24 * HOUR},
	    {"no names, no time", RDNS_NXDOMAIN, 0, 30 * SECOND},
	    {"no names, a while", RDNS_NXDOMAIN, 600, 600 * SECOND},
	    {"no names, for ever", RDNS_NXDOMAIN, UINT32_MAX, HOUR},
	    {"servfail", RDNS_SERVFAIL, 600, 5 * SECOND},
	    {"timeout", RDNS_TIMEOUT, 0, 5 * SECOND},
	    {"unavailable", RDNS_UNAVAILABLE, 600, 0},
	};
	struct rdns_cache *cache = open_cache(1024 * 1024);
	(void)state;
	for (uint32_t i = 0; i < NUM(rows); i++) {
		struct str row = str_of(rows[i].name);
		put_at(cache, key_number(i), rows[i].status, rows[i].ttl_s, MINUTE);
		check(
		    row, (find_at(cache, key_number(i), MINUTE) != RDNS_MISS) == !!rows[i].life_ms);
		check(row, !rows[i].life_ms ||
		               find_at(cache, key_number(i), MINUTE + rows[i].life_ms - 1));
		check(row, !find_at(cache, key_number(i), MINUTE + rows[i].life_ms));
	}
	rdns_cache_free(&cache);
}

static void test_failures_that_go_on(void **state)
{
	static const uint64_t lives[] = {5, 10, 20, 30, 30};
	struct rdns_cache *cache = open_cache(1024 * 1024);
	struct rdns_key key = key_of_text("192.0.2.1");
	uint64_t now = 1;
	(void)state;
	for (size_t i = 0; i < NUM(lives); i++) {
		put_at(cache, key, i % 2 ? RDNS_SERVFAIL : RDNS_TIMEOUT, 0, now);
		now += lives[i] * SECOND;
		assert_int_equal(find_at(cache, key, now - 1), RDNS_HIT);
		assert_int_equal(find_at(cache, key, now), RDNS_MISS);
	}
	put_at(cache, key, RDNS_OK, 60, now);
	put_at(cache, key, RDNS_SERVFAIL, 0, now + 59 * SECOND); // what holds stays
	assert_int_equal(find_at(cache, key, now + MINUTE - 1), RDNS_HIT_AGEING);
	put_at(cache, key, RDNS_SERVFAIL, 0, now + MINUTE);
	assert_int_equal(find_at(cache, key, now + MINUTE + 5 * SECOND - 1), RDNS_HIT);
	assert_int_equal(find_at(cache, key, now + MINUTE + 5 * SECOND), RDNS_MISS);
	rdns_cache_free(&cache);
}

static void test_ageing(void **state)
{
	struct rdns_cache *cache = open_cache(1024 * 1024);
	struct rdns_key key = key_of_text("192.0.2.1"), failed = key_of_text("192.0.2.2");
	(void)state;
	put_at(cache, key, RDNS_OK, 100, 0);
	put_at(cache, failed, RDNS_SERVFAIL, 100, 0);
	assert_int_equal(find_at(cache, failed, 5 * SECOND - 1), RDNS_HIT);
	assert_int_equal(find_at(cache, key, 90 * SECOND), RDNS_HIT);
	assert_int_equal(find_at(cache, key, 90 * SECOND + 1), RDNS_HIT_AGEING);
	assert_int_equal(find_at(cache, key, 90 * SECOND + 2), RDNS_HIT);
	put_at(cache, key, RDNS_OK, 100, 95 * SECOND);
	assert_int_equal(find_at(cache, key, 95 * SECOND), RDNS_HIT);
	assert_int_equal(find_at(cache, key, 194 * SECOND), RDNS_HIT_AGEING);
	rdns_cache_free(&cache);
}

// Room is made by what was not used for longest.
static void test_order_of_use(void **state)
{
	struct rdns_cache *cache = open_cache(64 * 1024);
	(void)state;
	put_at(cache, key_v6(1, 0), RDNS_OK, 600, 0);
	for (uint32_t i = 2; i < 2000; i++) {
		put_at(cache, key_v6(i, 0), RDNS_OK, 600, i);
		assert_int_equal(find_at(cache, key_v6(1, 0), i), RDNS_HIT);
		assert_int_equal(find_at(cache, key_v6(i, 0), i), RDNS_HIT);
	}
	assert_int_equal(find_at(cache, key_v6(2, 0), 2000), RDNS_MISS);
	assert_int_equal(find_at(cache, key_v6(1900, 0), 2000), RDNS_HIT);
	rdns_cache_free(&cache);
}

// One network can drive out its own answers only.
static void test_flood_from_one_network(void **state)
{
	struct rdns_cache *cache = open_cache(1024 * 1024);
	size_t found = 0;
	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		put_at(cache, key_v6(i, 0), RDNS_OK, 600, 0);
	size_t before = rdns_cache_bytes(cache);
	for (uint32_t i = 0; i < 100 * 1000; i++)
		put_at(cache, key_v6(5000, i), RDNS_OK, 600, 0);
	assert_in_range(rdns_cache_bytes(cache), before + 60 * 1024, before + 64 * 1024);
	for (uint32_t i = 0; i < 1000; i++)
		found += find_at(cache, key_v6(i, 0), 0) == RDNS_HIT;
	assert_in_range(found, 990, 1000); // a few share the flood's place by chance
	assert_int_equal(find_at(cache, key_v6(5000, 0), 0), RDNS_MISS);
	assert_int_equal(find_at(cache, key_v6(5000, 100 * 1000 - 1), 0), RDNS_HIT);
	rdns_cache_free(&cache);
}

// What malloc itself says; in sanitized builds it says nothing, and 0 passes.
static size_t bytes_allocated(void)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static void check_bound(size_t bytes, size_t num_names)
{
	struct rdns_name names[RDNS_NAMES_MAX];
	char room[253];
	size_t before = bytes_allocated();
	struct rdns_cache *cache = open_cache(bytes);
	for (size_t i = 0; i < num_names; i++)
		names[i] =
		    (struct rdns_name){check_fill(room, sizeof(room), 'a', sizeof(room)), true};
	for (uint32_t i = 0; i < MANY; i++) {
		struct rdns_key key = i % 2 ? key_number(i) : key_v6(i, i);
		struct rdns_answer answer = {RDNS_OK, names, num_names ? i % num_names : 0};
		rdns_cache_put(cache, &key, &answer, i % 1000, i);
		if (rdns_cache_bytes(cache) > bytes)
			fail_msg("%zu bytes in a cache of %zu", rdns_cache_bytes(cache), bytes);
	}
	size_t now = bytes_allocated();
	assert_true(now < before + bytes + MALLOC_ASIDE);

	assert_true(rdns_cache_bytes(cache) > bytes / 10 * 9);
	rdns_cache_free(&cache);
}

static void test_bound(void **state)
{
	(void)state;
	check_bound(64 * 1024, 2);
	check_bound(1024 * 1024, RDNS_NAMES_MAX);
	check_bound(16 * 1024 * 1024, 1);
	check_bound(64 * 1024 * 1024, 2);
}

// Less than a table takes: nothing is kept, nothing breaks.
static void test_no_room(void **state)
{
	struct rdns_cache *cache = open_cache(0);
	(void)state;
	put_at(cache, key_number(1), RDNS_OK, 600, 0);
	assert_int_equal(find_at(cache, key_number(1), 0), RDNS_MISS);
	assert_in_range(rdns_cache_bytes(cache), 1, 4096);
	rdns_cache_free(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_content),
	    cmocka_unit_test(test_networks),
	    cmocka_unit_test(test_lives),
	    cmocka_unit_test(test_failures_that_go_on),
	    cmocka_unit_test(test_ageing),
	    cmocka_unit_test(test_order_of_use),
	    cmocka_unit_test(test_flood_from_one_network),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests_name("rdns_cache", tests, NULL, NULL);
}
