// table.h: an immutable map from addresses to 32-bit values, in memory that
// several processes share.
//
// Made by the supervisor from a file of prefixes or a GeoIP database
// (prefixes.h, geoip.h), asked by every worker.  A table is one sealed memfd:
// once made, nobody can change or shrink it, so its descriptor may be handed to
// processes that are not trusted, and one of those cannot harm the others.
//
// A table of a million networks of IPv4 takes 16 MiB, of IPv6 40 MiB, once for
// all processes.  A look-up is a binary search.
//
// Not done: a trie.  It would save some of the twenty steps of the search, and
// cost more memory and many times the code.
#ifndef POPGATE_POLICY_TABLE_H
#define POPGATE_POLICY_TABLE_H

#include "policy/range.h"

struct table;
struct table_builder;

// The most ranges that one table is made from.
enum { TABLE_RANGES_MAX = 32 * 1024 * 1024 };

// A table to be; it will say `slot`, by which its receiver knows what it is for.
// NULL with the reason in *why when the system refuses the memory.
struct table_builder *table_builder_new(uint32_t slot, struct text *why);

// Adds a range, in any order, with a value other than 0.  Ranges of one value
// may overlap; of two values that meet, the one that begins first wins.  False,
// with the reason in *why, when there are too many or memory is out.
__attribute__((warn_unused_result)) bool table_builder_add(struct table_builder *builder,
    const struct addr_range *range, uint32_t value, struct text *why);

// How many ranges it has so far; those that came in order and touch count as one.
size_t table_builder_num(const struct table_builder *builder);

// When the source was made, by unix time.
void table_builder_set_built(struct table_builder *builder, uint64_t built);

// Makes the table, in two steps, of which the first may be done by a child (a
// fork) and the second by its parent.  Each is done once.
__attribute__((warn_unused_result)) bool table_builder_seal(
    struct table_builder *builder, struct text *why);
struct table *table_builder_open(const struct table_builder *builder, struct text *why);

// Both steps.
struct table *table_build(struct table_builder *builder, struct text *why);

// NULL is allowed.
void table_builder_free(struct table_builder **builder);

// Maps what another process made.  Takes over fd.  NULL with the reason in
// *why when it is no table, not sealed, or of another version.
struct table *table_open(int fd, struct text *why);

// To hand to another process.
int table_fd(const struct table *table);

void table_free(struct table **table);

// The address's value; 0 when it is in no range.
uint32_t table_find(const struct table *table, const struct addr *addr);

uint32_t table_slot(const struct table *table);
uint64_t table_built(const struct table *table);

// What it covers: ranges that touch and have the same value count as one.
struct table_size {
	uint64_t num_ranges;
	uint64_t num_v4;    // addresses of IPv4
	long double num_v6; // addresses of IPv6
};
struct table_size table_size(const struct table *table);

// All addresses in pieces of one value each, ascending, IPv4 first; `index`
// counts them from 0.  False behind the last one, and for a piece that cannot be.
struct table_piece {
	struct addr_range range;
	uint32_t value; // 0: in no range
};
bool table_piece(const struct table *table, size_t index, struct table_piece *out_piece);

#endif
