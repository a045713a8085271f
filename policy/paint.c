// paint.c: painting ranges and looking at them.  See paint.h.
//
// Where any range begins or ends the addresses are cut, and each piece gets the
// number of the first range that has it.  Ranges are taken in their order; a
// piece once painted points to the next that is not, over as many as are known
// to be painted (union-find), so that no piece is looked at twice for nothing.
#include "policy/paint.h"

#include <stdlib.h>

#include "proxy/base/die.h"

// Of one family: ascending, the first start is 0.
struct wall {
	struct ip_number *starts;
	uint32_t *numbers; // from that start to before the next
	uint32_t num;
};

struct paint {
	struct wall walls[2]; // of IPv4, of IPv6
};

// A wall while it is painted.
struct work {
	struct wall wall;
	uint32_t *next; // the piece itself when it is not painted, else a later one
};

static int compare_starts(const void *a, const void *b)
{
	const struct ip_number *first = a, *second = b;
	return ip_number_less(*first, *second) ? -1 : ip_number_less(*second, *first);
}

static void sort_starts(struct wall *wall)
{
	uint32_t kept = 1;
	qsort(wall->starts, wall->num, sizeof(*wall->starts), compare_starts);
	for (uint32_t i = 1; i < wall->num; i++)
		if (!ip_number_eq(wall->starts[i], wall->starts[kept - 1]))
			wall->starts[kept++] = wall->starts[i];
	wall->num = kept;
}

// The one behind the last address is 0 in IPv6 and 2^32 in IPv4; nobody asks for
// what is from there on.
static void cut(struct wall *wall, const struct paint_range *ranges, size_t num, bool is_v6)
{
	wall->starts = xcalloc(2 * num + 1, sizeof(*wall->starts));
	wall->num = 1;
	for (size_t i = 0; i < num; i++)
		if (ranges[i].range.is_v6 == is_v6) {
			wall->starts[wall->num++] = ranges[i].range.first;
			wall->starts[wall->num++] = ip_number_next(ranges[i].range.last);
		}
	sort_starts(wall);
	wall->numbers = xmalloc(wall->num * sizeof(*wall->numbers));
	for (uint32_t i = 0; i < wall->num; i++)
		wall->numbers[i] = PAINT_NONE;
}

// The piece that the address lies in.
static uint32_t find_piece(const struct wall *wall, struct ip_number at)
{
	uint32_t low = 0, high = wall->num;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (ip_number_less(at, wall->starts[middle]))
			high = middle;
		else
			low = middle;
	}
	return low;
}

// The first piece from this one on that is not painted; wall->num when all are.
static uint32_t find_bare(struct work *work, uint32_t piece)
{
	uint32_t bare = piece;
	while (bare < work->wall.num && work->next[bare] != bare)
		bare = work->next[bare];
	while (piece < bare) {
		uint32_t after = work->next[piece];
		work->next[piece] = bare;
		piece = after;
	}
	return bare;
}

static void paint_one(struct work *work, const struct paint_range *range)
{
	uint32_t last = find_piece(&work->wall, range->range.last);
	uint32_t piece = find_bare(work, find_piece(&work->wall, range->range.first));
	for (; piece <= last; piece = find_bare(work, piece)) {
		work->wall.numbers[piece] = range->number;
		work->next[piece] = piece + 1;
	}
}

static void join_equals(struct wall *wall)
{
	uint32_t kept = 1;
	for (uint32_t i = 1; i < wall->num; i++)
		if (wall->numbers[i] != wall->numbers[kept - 1]) {
			wall->starts[kept] = wall->starts[i];
			wall->numbers[kept++] = wall->numbers[i];
		}
	wall->num = kept;
	wall->starts = xrealloc(wall->starts, kept * sizeof(*wall->starts));
	wall->numbers = xrealloc(wall->numbers, kept * sizeof(*wall->numbers));
}

static struct wall paint_wall(const struct paint_range *ranges, size_t num, bool is_v6)
{
	struct work work = {0};
	cut(&work.wall, ranges, num, is_v6);
	work.next = xmalloc(work.wall.num * sizeof(*work.next));
	for (uint32_t i = 0; i < work.wall.num; i++)
		work.next[i] = i;
	for (size_t i = 0; i < num; i++)
		if (ranges[i].range.is_v6 == is_v6)
			paint_one(&work, &ranges[i]);
	free(work.next);
	join_equals(&work.wall);
	return work.wall;
}

struct paint *paint_new(const struct paint_range *ranges, size_t num)
{
	struct paint *paint = xcalloc(1, sizeof(*paint));
	BUG_ON(num > (size_t)1 << 30);
	paint->walls[false] = paint_wall(ranges, num, false);
	paint->walls[true] = paint_wall(ranges, num, true);
	return paint;
}

void paint_free(struct paint **paint)
{
	if (!*paint)
		return;
	for (size_t i = 0; i < 2; i++) {
		free((*paint)->walls[i].starts);
		free((*paint)->walls[i].numbers);
	}
	free(*paint);
	*paint = NULL;
}

uint32_t paint_find(const struct paint *paint, const struct addr *addr)
{
	const struct wall *wall = &paint->walls[addr->any.sa_family == AF_INET6];
	return wall->numbers[find_piece(wall, ip_number_of(addr))];
}

bool paint_hides(const struct paint *paint, const struct addr_range *range, uint32_t number,
    struct paint_span *span)
{
	const struct wall *wall = &paint->walls[range->is_v6];
	uint32_t piece = find_piece(wall, range->first);
	do {
		uint32_t found = wall->numbers[piece];
		if (found >= number)
			return false;
		span->least = found < span->least ? found : span->least;
		span->most = found > span->most ? found : span->most;
		piece++;
	} while (piece < wall->num && !ip_number_less(range->last, wall->starts[piece]));
	return true;
}

// The last address of a piece.
static struct ip_number piece_last(const struct wall *wall, uint32_t piece, bool is_v6)
{
	if (piece + 1 == wall->num)
		return is_v6 ? (struct ip_number){UINT64_MAX, UINT64_MAX}
		             : (struct ip_number){0, UINT32_MAX};
	struct ip_number next = wall->starts[piece + 1];
	return (struct ip_number){next.high - (next.low == 0), next.low - 1};
}

long double paint_count(const struct paint *paint, bool is_v6, uint32_t number)
{
	const struct wall *wall = &paint->walls[is_v6];
	long double count = 0;
	for (uint32_t i = 0; i < wall->num; i++) {
		struct addr_range range = {wall->starts[i], piece_last(wall, i, is_v6), is_v6};
		count += wall->numbers[i] == number ? range_count(&range) : 0;
	}
	return count;
}
