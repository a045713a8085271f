// table.c: mapping a table and looking things up in it.  See table.h.
//
// The memory comes from another process, so what is read there is bounded by
// the numbers in its head, which are checked against its size.  What the
// columns hold may be nonsense; then answers are, but no look-up leaves them.
#include "policy/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/table_layout.h"
#include "proxy/base/die.h"

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

struct table {
	int fd;
	size_t size;
	struct table_head *head; // read-only memory
	struct table_columns columns;
};

// By lseek(2), since a worker's filter has no fstat(2).
static bool measure(int fd, size_t *out_size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	*out_size = end < 0 ? 0 : (size_t)end;
	return *out_size >= sizeof(struct table_head);
}

static bool is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && (seals & SEALS) == SEALS;
}

static bool is_sound(const struct table_head *head, size_t size)
{
	return head->magic == TABLE_MAGIC && head->num_v4 && head->num_v6 &&
	       table_bytes(head->num_v4, head->num_v6) == size;
}

static struct table *table_at(int fd, struct table_head *head, size_t size)
{
	struct table *table = xcalloc(1, sizeof(*table));
	*table = (struct table){fd, size, head, table_columns_in(head)};
	return table;
}

struct table *table_open(int fd, struct text *why)
{
	size_t size;
	void *at = MAP_FAILED;
	if (!is_sealed(fd) || !measure(fd, &size))
		text_addf(why, "what came is no table");
	else if ((at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		text_addf(why, "cannot map a table: %s", strerror(errno));
	else if (is_sound(at, size))
		return table_at(fd, at, size);
	else
		text_addf(why, "the table is of another version");
	if (at != MAP_FAILED)
		munmap(at, size);
	close(fd);
	return NULL;
}

int table_fd(const struct table *table)
{
	return table->fd;
}

void table_free(struct table **table)
{
	if (!*table)
		return;
	munmap((*table)->head, (*table)->size);
	close((*table)->fd);
	free(*table);
	*table = NULL;
}

// Both searches halve what is left without a jump that could be guessed wrong.
static size_t search_v4(const uint32_t *starts, size_t num, uint32_t wanted)
{
	const uint32_t *base = starts;
	while (num > 1) {
		size_t half = num / 2;
		base += base[half] <= wanted ? half : 0;
		num -= half;
	}
	return (size_t)(base - starts);
}

static size_t search_v6(const struct ip_number *starts, size_t num, struct ip_number wanted)
{
	const struct ip_number *base = starts;
	while (num > 1) {
		size_t half = num / 2;
		base += ip_number_less(wanted, base[half]) ? 0 : half;
		num -= half;
	}
	return (size_t)(base - starts);
}

uint32_t table_find(const struct table *table, const struct addr *addr)
{
	const struct table_columns *columns = &table->columns;
	struct ip_number wanted = ip_number_of(addr);
	if (addr->any.sa_family == AF_INET)
		return columns->v4_values[search_v4(
		    columns->v4_starts, table->head->num_v4, (uint32_t)wanted.low)];
	if (addr->any.sa_family == AF_INET6)
		return columns
		    ->v6_values[search_v6(columns->v6_starts, table->head->num_v6, wanted)];
	return 0;
}

uint32_t table_slot(const struct table *table)
{
	return table->head->slot;
}

uint64_t table_built(const struct table *table)
{
	return table->head->built;
}

static void measure_v4(const struct table *table, struct table_size *size)
{
	const struct table_columns *columns = &table->columns;
	uint32_t num = table->head->num_v4;
	for (uint32_t i = 0; i < num; i++) {
		uint64_t end = i + 1 < num ? columns->v4_starts[i + 1] : UINT64_C(1) << 32;
		size->num_ranges += columns->v4_values[i] != 0;
		size->num_v4 += columns->v4_values[i] ? end - columns->v4_starts[i] : 0;
	}
}

static void measure_v6(const struct table *table, struct table_size *size)
{
	const struct table_columns *columns = &table->columns;
	uint32_t num = table->head->num_v6;
	for (uint32_t i = 0; i < num; i++) {
		// After the last start comes 0, and one before it is the last address.
		struct ip_number end =
		    i + 1 < num ? columns->v6_starts[i + 1] : (struct ip_number){0, 0};
		struct addr_range range = {
		    columns->v6_starts[i], {end.high - (end.low == 0), end.low - 1}, true};
		size->num_ranges += columns->v6_values[i] != 0;
		size->num_v6 += columns->v6_values[i] ? range_count(&range) : 0;
	}
}

struct table_size table_size(const struct table *table)
{
	struct table_size size = {0};
	measure_v4(table, &size);
	measure_v6(table, &size);
	return size;
}

static struct table_piece piece_v4(const struct table *table, uint32_t i)
{
	const struct table_columns *columns = &table->columns;
	bool is_last = i + 1 == table->head->num_v4;
	uint32_t last = is_last ? UINT32_MAX : columns->v4_starts[i + 1] - 1;
	return (struct table_piece){
	    {{0, columns->v4_starts[i]}, {0, last}, false}, columns->v4_values[i]};
}

static struct table_piece piece_v6(const struct table *table, uint32_t i)
{
	const struct table_columns *columns = &table->columns;
	struct ip_number end = {0, 0};
	if (i + 1 < table->head->num_v6)
		end = columns->v6_starts[i + 1];
	struct ip_number last = {end.high - (end.low == 0), end.low - 1};
	return (struct table_piece){{columns->v6_starts[i], last, true}, columns->v6_values[i]};
}

bool table_piece(const struct table *table, size_t index, struct table_piece *out_piece)
{
	uint32_t num_v4 = table->head->num_v4, num_v6 = table->head->num_v6;
	if (index >= (size_t)num_v4 + num_v6)
		return false;
	*out_piece = index < num_v4 ? piece_v4(table, (uint32_t)index)
	                            : piece_v6(table, (uint32_t)(index - num_v4));
	return !ip_number_less(out_piece->range.last, out_piece->range.first);
}
