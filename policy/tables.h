// tables.h: the tables that one configuration names: loaded, watched, replaced.
//
// A snapshot has one, made by the supervisor.  Whoever compiles rules adds the
// files they name and keeps the index; the table behind an index may be another
// one at any turn of the loop, so it is asked for each time and never kept.
//
//     supervisor   tables_add ... tables_load, then tables_refresh each second
//     worker       inherits all by fork; tables_take puts a newer one in place
//
// A changed file is taken once two looks in a row found it the same, so that
// one still being written is left alone.  A file of prefixes that changes at
// every look is taken after some, as far as it has whole lines, unless it is now
// smaller than it was (somebody may be writing it anew, slowly).  A bad one, or
// none at all, leaves the old table in place and is told once; so is one that
// for a minute could not be taken.
//
// Not done: inotify(7).  It does not see what happens on network file systems,
// nor behind symbolic links; a stat(2) each second does and costs nothing.
#ifndef POPGATE_POLICY_TABLES_H
#define POPGATE_POLICY_TABLES_H

#include "policy/table.h"

enum table_kind { TABLE_PREFIXES, TABLE_COUNTRY, TABLE_ASN };

struct tables;

// No files yet.
struct tables *tables_new(void);

// NULL is allowed.
void tables_free(struct tables **tables);

// The index of this file, read in this way; the same for the same.  Not to be
// called after tables_load.
size_t tables_add(struct tables *tables, enum table_kind kind, const char *path);

size_t tables_num(const struct tables *tables);

// The table in force; NULL before it is loaded.
const struct table *tables_get(const struct tables *tables, size_t index);

// What happened to a table.  `why` begins with the path; empty when all is well.
enum tables_news { TABLES_REPLACED, TABLES_REFUSED, TABLES_OLD };
typedef void tables_news_fn(void *context, enum tables_news news, size_t index, struct str why);

// Reads all files.  False when one was refused; each of those is told.
__attribute__((warn_unused_result)) bool tables_load(
    struct tables *tables, tables_news_fn *on_news, void *context);

// Looks at all files once and tells what was replaced or refused.
void tables_refresh(struct tables *tables, tables_news_fn *on_news, void *context);

// Tells the GeoIP databases that were built more than max_age_s before now_s, by
// unix time.
void tables_check_age(const struct tables *tables, uint64_t now_s, uint64_t max_age_s,
    tables_news_fn *on_news, void *context);

// Puts a table that another process made into its slot.  Takes over fd.  False
// with the reason in *why; the old one stays.
__attribute__((warn_unused_result)) bool tables_take(
    struct tables *tables, int fd, struct text *why);

// For people and logs; the strings live as long as the tables.
struct table_facts {
	enum table_kind kind;
	const char *path;
	uint64_t built; // unix time: of the file, or when a database says it was made
	struct table_size size;
};
struct table_facts tables_describe(const struct tables *tables, size_t index);

#endif
