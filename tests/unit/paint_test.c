// paint_test.c: the first range wins, whatever overlaps, and what is hidden is
// hidden: compared with asking every range for every address.
#include "tests/kit/check.h"

#include <stdlib.h>

#include "policy/paint.h"

enum { ROUNDS = 2000, RANGES = 12, SPACE = 64, MANY = 200 * 1000 };

static uint64_t draw(uint64_t below)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (state >> 32) % below;
}

// Addresses of a small space at either end of the family's.
static struct ip_number number_at(uint64_t i, bool is_v6)
{
	if (i < SPACE / 2)
		return (struct ip_number){0, i};
	uint64_t below_end = SPACE - 1 - i;
	return is_v6 ? (struct ip_number){UINT64_MAX, UINT64_MAX - below_end}
	             : (struct ip_number){0, UINT32_MAX - below_end};
}

static struct addr addr_at(uint64_t i, bool is_v6)
{
	struct ip_number number = number_at(i, is_v6);
	struct addr addr = {.v4 = {.sin_family = AF_INET}};
	if (!is_v6) {
		addr.v4.sin_addr.s_addr = htonl((uint32_t)number.low);
		return addr;
	}
	addr = (struct addr){.v6 = {.sin6_family = AF_INET6}};
	for (size_t k = 0; k < 8; k++) {
		addr.v6.sin6_addr.s6_addr[k] = (uint8_t)(number.high >> (56 - 8 * k));
		addr.v6.sin6_addr.s6_addr[8 + k] = (uint8_t)(number.low >> (56 - 8 * k));
	}
	return addr;
}

// Within one half of the space, since what lies between them is not looked at.
static struct paint_range draw_range(uint32_t number)
{
	uint64_t start = draw(2) * (SPACE / 2), first = draw(SPACE / 2);
	uint64_t last = first + draw(SPACE / 2 - first);
	bool is_v6 = draw(2);
	return (struct paint_range){
	    {number_at(start + first, is_v6), number_at(start + last, is_v6), is_v6}, number};
}

static uint32_t find_slowly(const struct paint_range *ranges, size_t num, const struct addr *addr)
{
	for (size_t i = 0; i < num; i++)
		if (range_contains(&ranges[i].range, addr))
			return ranges[i].number;
	return PAINT_NONE;
}

// Whether all addresses in the drawn space that the range has are below number.
static bool is_hidden_slowly(const struct paint_range *ranges, size_t num,
    const struct addr_range *range, uint32_t number, struct paint_span *span)
{
	bool hidden = true;
	for (uint64_t i = 0; i < SPACE; i++) {
		struct addr addr = addr_at(i, range->is_v6);
		uint32_t found = find_slowly(ranges, num, &addr);
		if (!range_contains(range, &addr))
			continue;
		hidden = hidden && found < number;
		span->least = found < span->least ? found : span->least;
		span->most = found > span->most ? found : span->most;
	}
	return hidden;
}

static void check_hidden(const struct paint *paint, const struct paint_range *ranges, size_t num)
{
	for (size_t i = 0; i < num; i++) {
		struct paint_span span = PAINT_SPAN_EMPTY, wanted = PAINT_SPAN_EMPTY;
		const struct addr_range *range = &ranges[i].range;
		bool hidden = is_hidden_slowly(ranges, num, range, ranges[i].number, &wanted);
		assert_int_equal(paint_hides(paint, range, ranges[i].number, &span), hidden);
		if (!hidden)
			continue;
		assert_int_equal(span.least, wanted.least);
		assert_int_equal(span.most, wanted.most);
	}
}

static void test_random(void **state)
{
	struct paint_range ranges[RANGES];
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t num = draw(RANGES + 1);
		for (uint32_t i = 0; i < num; i++)
			ranges[i] = draw_range(i / 2); // some share a number
		struct paint *paint = paint_new(ranges, num);
		for (uint64_t i = 0; i < 2 * SPACE; i++) {
			struct addr addr = addr_at(i / 2, i % 2);
			assert_int_equal(paint_find(paint, &addr), find_slowly(ranges, num, &addr));
		}
		check_hidden(paint, ranges, num);
		paint_free(&paint);
		assert_null(paint);
	}
}

static struct addr_range range_of(const char *text)
{
	char room[256];
	struct text why = TEXT(room);
	struct addr_range range;
	if (!range_parse(str_of(text), &range, &why))
		fail_msg("%s", room);
	return range;
}

static void test_count(void **state)
{
	struct paint_range ranges[] = {
	    {range_of("192.0.2.0/30"), 0},
	    {range_of("192.0.2.0/24"), 1},
	    {range_of("2001:db8::/64"), 1},
	    {range_of("192.0.2.128-192.0.3.9"), 0},
	    {range_of("::/0"), 2},
	};
	(void)state;
	struct paint *paint = paint_new(ranges, NUM(ranges));
	assert_true(paint_count(paint, false, 0) == 14);
	assert_true(paint_count(paint, false, 1) == 252);
	assert_true(paint_count(paint, true, 1) == 0x1p64L);
	assert_true(paint_count(paint, true, 0) == 0);
	assert_true(paint_count(paint, false, PAINT_NONE) == 0x1p32L - 266);
	assert_true(paint_count(paint, true, 2) == 0x1p128L - 0x1p64L);
	paint_free(&paint);
	paint = paint_new(NULL, 0);
	assert_true(paint_count(paint, true, PAINT_NONE) == 0x1p128L);
	paint_free(&paint);
	paint_free(&paint);
}

// Nested ranges, each hidden by the one before: what a naive painter takes
// hours for.
static void test_many(void **state)
{
	struct paint_range *ranges = calloc(MANY, sizeof(*ranges));
	struct paint_span span = PAINT_SPAN_EMPTY;
	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		ranges[i] =
		    (struct paint_range){{{0, MANY - i}, {0, MANY + UINT64_C(1) + i}, false}, i};
	struct paint *paint = paint_new(ranges, MANY);
	for (uint32_t i = 0; i < MANY; i += 997) {
		struct addr addr = {.v4 = {.sin_family = AF_INET}};
		addr.v4.sin_addr.s_addr = htonl(MANY - i);
		assert_int_equal(paint_find(paint, &addr), i);
	}
	assert_true(paint_hides(paint, &ranges[MANY - 2].range, MANY - 1, &span));
	assert_int_equal(span.least, 0);
	assert_int_equal(span.most, MANY - 2);
	paint_free(&paint);
	free(ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_count),
	    cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
