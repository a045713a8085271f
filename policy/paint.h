// paint.h: an immutable map from addresses to numbers, made of ranges that may
// overlap, of which the first wins: as if the last range were painted on a wall
// first, and each earlier one over it.
//
// Used by policy.c, which paints the rules that follow one another once, so that
// a look-up is one binary search however many they are; and by report.c,
// which asks whether anything is to be seen of a range.  n ranges cost
// n log n to paint.
//
// Not done: the shared memory of table.h.  Rules of the configuration are few,
// and workers have them from before the fork.
#ifndef POPGATE_POLICY_PAINT_H
#define POPGATE_POLICY_PAINT_H

#include "policy/range.h"

// The number of an address that no range has.
#define PAINT_NONE UINT32_MAX

struct paint_range {
	struct addr_range range;
	uint32_t number; // less than PAINT_NONE
};

struct paint;

// At most 2^30 ranges; borrowed until it returns.
struct paint *paint_new(const struct paint_range *ranges, size_t num);
void paint_free(struct paint **paint);

uint32_t paint_find(const struct paint *paint, const struct addr *addr);

// The least and the highest of some numbers.  Begin with PAINT_SPAN_EMPTY.
struct paint_span {
	uint32_t least, most;
};
#define PAINT_SPAN_EMPTY ((struct paint_span){PAINT_NONE, 0})

// Whether every address of the range has a number below `number`; such numbers
// are added to *span.
bool paint_hides(const struct paint *paint, const struct addr_range *range, uint32_t number,
    struct paint_span *span);

// How many addresses of IPv4 or IPv6 have the number.
long double paint_count(const struct paint *paint, bool is_v6, uint32_t number);

#endif
