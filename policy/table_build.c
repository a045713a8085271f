// table_build.c: from ranges in any order to the columns of a table.  See
// table.h.
//
// Ranges are kept as they come, sorted when there are no more, cut where they
// overlap and joined where they touch; then they are written as boundaries:
// where a range begins, and where nothing follows it.  Whatever comes in order
// and touches (a GeoIP database, mostly) is joined at once, which saves memory.
#include "policy/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/table_layout.h"
#include "proxy/base/buf.h"
#include "proxy/base/die.h"

struct entry {
	struct ip_number first, last;
	uint32_t value;
};

struct entries {
	struct buf bytes; // of struct entry; refuses when memory is out
	size_t num;
	bool is_unsorted;
};

struct table_builder {
	int fd;
	uint32_t slot;
	uint64_t built;
	struct entries v4, v6;
};

struct table_builder *table_builder_new(uint32_t slot, struct text *why)
{
	int fd = memfd_create("popgate-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		text_addf(why, "cannot make shared memory: %s", strerror(errno));
		return NULL;
	}
	struct table_builder *builder = xcalloc(1, sizeof(*builder));
	builder->fd = fd;
	builder->slot = slot;
	return builder;
}

void table_builder_free(struct table_builder **builder)
{
	if (!*builder)
		return;
	close((*builder)->fd);
	buf_done(&(*builder)->v4.bytes);
	buf_done(&(*builder)->v6.bytes);
	free(*builder);
	*builder = NULL;
}

void table_builder_set_built(struct table_builder *builder, uint64_t built)
{
	builder->built = built;
}

// ---- collecting ---------------------------------------------------------

static struct entry *entry_at(const struct entries *entries, size_t index)
{
	return (struct entry *)(void *)entries->bytes.at + index;
}

static bool touches(const struct entry *entry, const struct addr_range *next, uint32_t value)
{
	return value == entry->value && ip_number_eq(ip_number_next(entry->last), next->first) &&
	       ip_number_less(entry->last, next->first);
}

size_t table_builder_num(const struct table_builder *builder)
{
	return builder->v4.num + builder->v6.num;
}

bool table_builder_add(
    struct table_builder *builder, const struct addr_range *range, uint32_t value, struct text *why)
{
	struct entries *entries = range->is_v6 ? &builder->v6 : &builder->v4;
	struct entry *last = entries->num ? entry_at(entries, entries->num - 1) : NULL;
	struct entry entry = {range->first, range->last, value};
	if (last && touches(last, range, value)) {
		last->last = range->last;
		return true;
	}
	if (table_builder_num(builder) == TABLE_RANGES_MAX) {
		text_addf(why, "more than %d ranges are too many", TABLE_RANGES_MAX);
		return false;
	}
	entries->is_unsorted |= last && ip_number_less(range->first, last->first);
	if (!buf_add(&entries->bytes, (struct str){(const char *)&entry, sizeof(entry)},
	        TABLE_RANGES_MAX * sizeof(entry))) {
		text_addf(why, "memory is out after %zu ranges", entries->num);
		return false;
	}
	entries->num++;
	return true;
}

// ---- sorting, cutting, joining ------------------------------------------

static int compare(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	if (ip_number_less(left->first, right->first))
		return -1;
	return ip_number_less(right->first, left->first);
}

// Adds the entry to those that are already in order and apart.
static void settle(struct entries *entries, size_t *num, struct entry entry)
{
	struct entry *last = *num ? entry_at(entries, *num - 1) : NULL;
	if (last && !ip_number_less(last->last, entry.first)) {
		if (!ip_number_less(last->last, entry.last))
			return;
		entry.first = ip_number_next(last->last);
	}
	struct addr_range range = {entry.first, entry.last, false};
	if (last && touches(last, &range, entry.value))
		last->last = entry.last;
	else
		*entry_at(entries, (*num)++) = entry;
}

static void put_in_order(struct entries *entries)
{
	size_t num = 0;
	if (entries->is_unsorted)
		qsort(entries->bytes.at, entries->num, sizeof(struct entry), compare);
	for (size_t i = 0; i < entries->num; i++)
		settle(entries, &num, *entry_at(entries, i));
	entries->num = num;
}

// ---- writing ------------------------------------------------------------

// Where the boundaries of one family go; without columns they are counted.
struct sink {
	struct ip_number *v6_starts;
	uint32_t *v4_starts;
	uint32_t *values;
	uint32_t num;
};

static void put(struct sink *sink, struct ip_number start, uint32_t value)
{
	if (sink->v6_starts)
		sink->v6_starts[sink->num] = start;
	if (sink->v4_starts)
		sink->v4_starts[sink->num] = (uint32_t)start.low;
	if (sink->values)
		sink->values[sink->num] = value;
	sink->num++;
}

// `end` is one past the last address of the family.
static void put_all(struct sink *sink, const struct entries *entries, struct ip_number end)
{
	struct ip_number next = {0, 0};
	bool is_over = false;
	for (size_t i = 0; i < entries->num; i++) {
		const struct entry *entry = entry_at(entries, i);
		if (!ip_number_eq(entry->first, next))
			put(sink, next, 0);
		put(sink, entry->first, entry->value);
		next = ip_number_next(entry->last);
		is_over = ip_number_eq(next, end);
	}
	if (!is_over)
		put(sink, next, 0);
}

static const struct ip_number v4_end = {0, UINT64_C(1) << 32};
static const struct ip_number v6_end = {0, 0};

static void write_table(const struct table_builder *builder, struct table_head *head)
{
	struct table_columns columns = table_columns_in(head);
	struct sink v4 = {NULL, columns.v4_starts, columns.v4_values, 0};
	struct sink v6 = {columns.v6_starts, NULL, columns.v6_values, 0};
	put_all(&v4, &builder->v4, v4_end);
	put_all(&v6, &builder->v6, v6_end);
	BUG_ON(v4.num != head->num_v4 || v6.num != head->num_v6);
}

static struct table_head count(const struct table_builder *builder)
{
	struct sink v4 = {0}, v6 = {0};
	put_all(&v4, &builder->v4, v4_end);
	put_all(&v6, &builder->v6, v6_end);
	return (struct table_head){
	    .magic = TABLE_MAGIC,
	    .built = builder->built,
	    .slot = builder->slot,
	    .num_v4 = v4.num,
	    .num_v6 = v6.num,
	};
}

// The memory is taken before it is written: touching it would end the process
// when there is none.
static struct table_head *map_memory(int fd, size_t size)
{
	errno = posix_fallocate(fd, 0, (off_t)size);
	if (errno)
		return NULL;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

bool table_builder_seal(struct table_builder *builder, struct text *why)
{
	put_in_order(&builder->v4);
	put_in_order(&builder->v6);
	struct table_head head = count(builder);
	size_t size = table_bytes(head.num_v4, head.num_v6);
	struct table_head *at = map_memory(builder->fd, size);
	if (!at) {
		text_addf(why, "cannot get %zu bytes of shared memory: %s", size, strerror(errno));
		return false;
	}
	*at = head;
	write_table(builder, at);
	munmap(at, size);
	if (fcntl(builder->fd, F_ADD_SEALS,
	        F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return true;
	text_addf(why, "cannot seal shared memory: %s", strerror(errno));
	return false;
}

struct table *table_builder_open(const struct table_builder *builder, struct text *why)
{
	int fd = fcntl(builder->fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		return table_open(fd, why);
	text_addf(why, "cannot keep a table open: %s", strerror(errno));
	return NULL;
}

struct table *table_build(struct table_builder *builder, struct text *why)
{
	return table_builder_seal(builder, why) ? table_builder_open(builder, why) : NULL;
}
