// table_test.c: a table answers as a list of ranges would that is searched from
// its beginning to its end; and nobody can change it or make a look-up leave it.
#include "tests/kit/check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/table.h"
#include "policy/table_layout.h"

enum { SLOT = 7, RANGES_MOST = 40, ROUNDS = 300, SPAN = 300 };

struct row {
	const char *range;
	uint32_t value;
};

static struct text why_room(void)
{
	static char room[256];
	return TEXT(room);
}

static struct table_builder *new_builder(void)
{
	struct text why = why_room();
	struct table_builder *builder = table_builder_new(SLOT, &why);
	assert_non_null(builder);
	return builder;
}

static void add(struct table_builder *builder, const struct addr_range *range, uint32_t value)
{
	struct text why = why_room();
	assert_true(table_builder_add(builder, range, value, &why));
}

static struct table *finish(struct table_builder *builder)
{
	struct text why = why_room();
	struct table *table = table_build(builder, &why);
	assert_non_null(table);
	table_builder_free(&builder);
	return table;
}

static struct table *build(const struct row *rows, size_t num)
{
	struct table_builder *builder = new_builder();
	for (size_t i = 0; i < num; i++) {
		struct addr_range range;
		struct text why = why_room();
		assert_true(range_parse(str_of(rows[i].range), &range, &why));
		add(builder, &range, rows[i].value);
	}
	return finish(builder);
}

static uint32_t find(const struct table *table, const char *addr_text)
{
	struct addr addr;
	assert_true(addr_parse(str_of(addr_text), 995, &addr));
	return table_find(table, &addr);
}

static const struct row mixed[] = {
    {"203.0.113.0/24", 3},
    {"192.0.2.0/24", 1},
    {"192.0.2.128-192.0.3.5", 1},
    {"192.0.3.6", 1},
    {"192.0.3.7", 2},
    {"2001:db8::/32", 4},
    {"2001:db8:0:1::/64", 4},
    {"ffff:ffff:ffff:ffff::/64", 5},
    {"255.255.255.255", 6},
    {"0.0.0.0", 7},
    {"::", 8},
};

static const struct {
	const char *addr;
	uint32_t value;
} found[] = {
    {"192.0.1.255", 0},
    {"192.0.2.0", 1},
    {"192.0.2.255", 1},
    {"192.0.3.0", 1},
    {"192.0.3.5", 1},
    {"192.0.3.6", 1},
    {"192.0.3.7", 2},
    {"192.0.3.8", 0},
    {"::ffff:192.0.2.1", 1},
    {"203.0.113.77", 3},
    {"255.255.255.254", 0},
    {"255.255.255.255", 6},
    {"0.0.0.0", 7},
    {"0.0.0.1", 0},
    {"::", 8},
    {"::1", 0},
    {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", 0},
    {"2001:db8::", 4},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 4},
    {"2001:db9::", 0},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5},
    {"ffff:ffff:ffff:fffe:ffff:ffff:ffff:ffff", 0},
};

static void test_find(void **state)
{
	struct table *table = build(mixed, NUM(mixed));
	struct addr other = {.any.sa_family = AF_UNIX};
	(void)state;
	for (size_t i = 0; i < NUM(found); i++)
		check(str_of(found[i].addr), find(table, found[i].addr) == found[i].value);
	assert_int_equal(table_find(table, &other), 0);
	table_free(&table);
	assert_null(table);
	table_free(&table);
}

static void test_size(void **state)
{
	struct table *table = build(mixed, NUM(mixed));
	struct table_size size = table_size(table);
	(void)state;
	assert_int_equal(size.num_ranges, 8);
	assert_int_equal(size.num_v4, 256 + 256 + 7 + 1 + 2);
	assert_true(size.num_v6 == 0x1p96L + 0x1p64L + 1);
	assert_int_equal(table_slot(table), SLOT);
	table_free(&table);
}

static void test_nothing_and_everything(void **state)
{
	static const struct row all[] = {{"0.0.0.0/0", 1}, {"::/0", 2}};
	struct table *none = build(NULL, 0), *every = build(all, NUM(all));
	struct table_size size = table_size(every);
	(void)state;
	assert_int_equal(find(none, "192.0.2.1"), 0);
	assert_int_equal(find(none, "::1"), 0);
	assert_int_equal(table_size(none).num_ranges, 0);
	assert_int_equal(find(every, "0.0.0.0"), 1);
	assert_int_equal(find(every, "255.255.255.255"), 1);
	assert_int_equal(find(every, "::"), 2);
	assert_int_equal(find(every, "ffff::"), 2);
	assert_int_equal(size.num_v4, UINT64_C(1) << 32);
	assert_true(size.num_v6 == 0x1p128L);
	table_free(&none);
	table_free(&every);
}

// ---- beside a list ------------------------------------------------------

// The same numbers in each run.
static unsigned draw(unsigned below)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(state >> 33) % below;
}

// Ranges near an end of the family, where sums could overflow.
static struct addr_range draw_range(bool is_v6, bool high)
{
	unsigned from = draw(SPAN), len = draw(20);
	unsigned to = from + len < SPAN ? from + len : SPAN - 1;
	uint64_t base = high ? (is_v6 ? UINT64_MAX : UINT32_MAX) - (SPAN - 1) : 0;
	uint64_t outer = high && is_v6 ? UINT64_MAX : 0;
	return (struct addr_range){{outer, base + from}, {outer, base + to}, is_v6};
}

static struct addr addr_at(const struct addr_range *range)
{
	char room[RANGE_TEXT_SIZE];
	struct text text = TEXT(room);
	struct addr addr;
	struct addr_range one = {range->first, range->first, range->is_v6};
	range_print(&one, &text);
	assert_true(addr_parse(text_str(&text), 1, &addr));
	return addr;
}

static uint32_t search_list(const struct addr_range *ranges, size_t num, const struct addr *addr)
{
	for (size_t i = 0; i < num; i++)
		if (range_contains(&ranges[i], addr))
			return 9;
	return 0;
}

static void compare_with_list(bool is_v6, bool high)
{
	struct addr_range ranges[RANGES_MOST];
	struct table_builder *builder = new_builder();
	size_t num = draw(RANGES_MOST);
	for (size_t i = 0; i < num; i++) {
		ranges[i] = draw_range(is_v6, high);
		add(builder, &ranges[i], 9);
	}
	struct table *table = finish(builder);
	for (unsigned i = 0; i < SPAN; i++) {
		struct addr_range at = draw_range(is_v6, high);
		struct addr addr = addr_at(&at);
		assert_int_equal(table_find(table, &addr), search_list(ranges, num, &addr));
	}
	table_free(&table);
}

static void test_beside_a_list(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++)
		compare_with_list(i & 1, i & 2);
}

static void test_first_wins(void **state)
{
	static const struct row rows[] = {{"10.0.0.5-10.0.0.9", 2}, {"10.0.0.0-10.0.0.6", 1}};
	struct table *table = build(rows, NUM(rows));
	(void)state;
	assert_int_equal(find(table, "10.0.0.6"), 1);
	assert_int_equal(find(table, "10.0.0.7"), 2);
	table_free(&table);
}

// ---- between processes --------------------------------------------------

static void test_open(void **state)
{
	struct table *table = build(mixed, NUM(mixed));
	struct text why = why_room();
	struct table *again = table_open(dup(table_fd(table)), &why);
	(void)state;
	assert_non_null(again);
	table_free(&table);
	for (size_t i = 0; i < NUM(found); i++)
		check(str_of(found[i].addr), find(again, found[i].addr) == found[i].value);
	table_free(&again);
}

static void test_sealed(void **state)
{
	struct table *table = build(mixed, NUM(mixed));
	int fd = table_fd(table);
	(void)state;
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_ptr_equal(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	table_free(&table);
}

static int memory_with(const void *bytes, size_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static bool is_opened(const struct table_head *head, size_t size, int seals)
{
	char bytes[256] = {0};
	struct text why = why_room();
	assert_true(size <= sizeof(bytes));
	memcpy(bytes, head, sizeof(*head));
	struct table *table = table_open(memory_with(bytes, size, seals), &why);
	bool opened = table;
	assert_true(opened == !why.len);
	table_free(&table);
	return opened;
}

// Whatever numbers stand in the head, no column lies outside.
static void test_head(void **state)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const size_t size = table_bytes(2, 1);
	const struct table_head good = {.magic = TABLE_MAGIC, .num_v4 = 2, .num_v6 = 1};
	struct table_head bad[7];
	(void)state;
	assert_true(is_opened(&good, size, seals));
	assert_false(is_opened(&good, size, F_SEAL_SHRINK | F_SEAL_GROW));
	assert_false(is_opened(&good, size, F_SEAL_WRITE | F_SEAL_GROW));
	assert_false(is_opened(&good, size, 0));
	assert_false(is_opened(&good, size + 1, seals));
	assert_false(is_opened(&good, size - 1, seals));
	assert_false(is_opened(&good, sizeof(good) - 1, seals));
	assert_false(is_opened(&good, 0, seals));
	for (size_t i = 0; i < NUM(bad); i++)
		bad[i] = good;
	bad[0].magic++;
	bad[1].num_v4 = 0;
	bad[2].num_v6 = 0;
	bad[3].num_v4 = 3;
	bad[4].num_v6 = UINT32_MAX;
	bad[5].num_v4 = UINT32_MAX;
	bad[6].num_v4 = bad[6].num_v6 = UINT32_MAX;
	for (size_t i = 0; i < NUM(bad); i++)
		assert_false(is_opened(&bad[i], size, seals));
}

static void test_open_what_is_none(void **state)
{
	struct text why = why_room();
	int ends[2];
	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_null(table_open(ends[0], &why));
	assert_int_equal(fcntl(ends[0], F_GETFD), -1); // taken over
	assert_null(table_open(-1, &why));
	close(ends[1]);
}

// Sorted by nonsense, but whole: answers are nonsense, and look-ups stay inside.
static void test_nonsense(void **state)
{
	char bytes[4096];
	struct table_head head = {.magic = TABLE_MAGIC, .num_v4 = 37, .num_v6 = 41};
	size_t size = table_bytes(head.num_v4, head.num_v6);
	struct text why = why_room();
	(void)state;
	assert_true(size < sizeof(bytes));
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)draw(256);
	memcpy(bytes, &head, sizeof(head));
	struct table *table =
	    table_open(memory_with(bytes, size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), &why);
	assert_non_null(table);
	for (int i = 0; i < ROUNDS; i++) {
		struct addr_range at = draw_range(i & 1, i & 2);
		struct addr addr = addr_at(&at);
		(void)table_find(table, &addr);
	}
	(void)table_size(table);
	table_free(&table);
}

// Half of the work may be a child's.
static void test_made_by_another_process(void **state)
{
	struct table_builder *builder = new_builder();
	struct text why = why_room();
	int status;
	(void)state;
	assert_null(table_builder_open(builder, &why)); // nothing there yet
	pid_t pid = fork();
	if (pid == 0) {
		struct addr_range range = {{0, 1}, {0, 5}, false};
		add(builder, &range, 3);
		table_builder_set_built(builder, 1234);
		_exit(!table_builder_seal(builder, &why));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	why = why_room();
	struct table *table = table_builder_open(builder, &why);
	assert_non_null(table);
	assert_int_equal(find(table, "0.0.0.5"), 3);
	assert_int_equal(table_built(table), 1234);
	table_builder_free(&builder);
	table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_nothing_and_everything),
	    cmocka_unit_test(test_beside_a_list),
	    cmocka_unit_test(test_first_wins),
	    cmocka_unit_test(test_open),
	    cmocka_unit_test(test_sealed),
	    cmocka_unit_test(test_head),
	    cmocka_unit_test(test_open_what_is_none),
	    cmocka_unit_test(test_nonsense),
	    cmocka_unit_test(test_made_by_another_process),
	};
	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
