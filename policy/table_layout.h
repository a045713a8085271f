// table_layout.h: how a table lies in its memory.  For table.c, which reads it,
// and table_build.c, which writes it.
//
// After the head come four columns: of each family the addresses where something
// begins, ascending from 0, and the value that holds from there to the next.
// Where they lie follows from their numbers alone.
#ifndef POPGATE_POLICY_TABLE_LAYOUT_H
#define POPGATE_POLICY_TABLE_LAYOUT_H

#include "policy/table.h"

// The last digit is the layout's version.
#define TABLE_MAGIC UINT64_C(0x706f707461626c01)

struct table_head {
	uint64_t magic;
	uint64_t built;
	uint32_t slot;
	uint32_t num_v4; // at least 1
	uint32_t num_v6; // at least 1
	uint32_t unused;
};

struct table_columns {
	struct ip_number *v6_starts;
	uint32_t *v6_values;
	uint32_t *v4_starts;
	uint32_t *v4_values;
};

static inline size_t table_bytes(uint32_t num_v4, uint32_t num_v6)
{
	return sizeof(struct table_head) + num_v6 * (sizeof(struct ip_number) + sizeof(uint32_t)) +
	       num_v4 * 2 * sizeof(uint32_t);
}

static inline struct table_columns table_columns_in(struct table_head *head)
{
	struct table_columns columns;
	columns.v6_starts = (struct ip_number *)(head + 1);
	columns.v6_values = (uint32_t *)(columns.v6_starts + head->num_v6);
	columns.v4_starts = columns.v6_values + head->num_v6;
	columns.v4_values = columns.v4_starts + head->num_v4;
	return columns;
}

#endif
