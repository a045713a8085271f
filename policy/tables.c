// tables.c: files, what they looked like, and their tables.  See tables.h.
//
// Two looks that are the same are the best sign that a file is complete, and a
// file that never rests (banned addresses, under an attack) would never show it.
// So after some looks it is read in a hurry: taken if what was read is made of
// whole lines and the file did not change meanwhile, or only grew.  That would
// take the first part of a file that is slowly written anew in its old place;
// such a one is known by being smaller than what is in force, until it is not.
#include "policy/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "policy/geoip.h"
#include "policy/prefixes.h"
#include "proxy/base/die.h"

// Room for a path and what is wrong with the file.
enum { WHY_MAX = 1024, SECONDS_PER_DAY = 24 * 60 * 60 };

// How many looks a change may go without being taken before each attempt in a
// hurry, and before people are told; the second is a multiple of the first.
enum { LOOKS_PATIENT = 5, LOOKS_SILENT = 60 };

// What stat(2) said of a file; two that are equal mean that it has not changed.
struct look {
	int error; // 0: there was one
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct source {
	enum table_kind kind;
	char *path;
	struct table *table;
	struct look judged;  // what was taken or refused
	struct look seen;    // the last time
	unsigned num_waited; // looks since then that found another file and did not judge it
	off_t size;          // of the file that was taken last
};

struct tables {
	struct source *sources;
	size_t num;
};

struct tables *tables_new(void)
{
	return xcalloc(1, sizeof(struct tables));
}

void tables_free(struct tables **tables)
{
	if (!*tables)
		return;
	for (size_t i = 0; i < (*tables)->num; i++) {
		table_free(&(*tables)->sources[i].table);
		free((*tables)->sources[i].path);
	}
	free((*tables)->sources);
	free(*tables);
	*tables = NULL;
}

size_t tables_add(struct tables *tables, enum table_kind kind, const char *path)
{
	for (size_t i = 0; i < tables->num; i++)
		if (tables->sources[i].kind == kind && !strcmp(tables->sources[i].path, path))
			return i;
	tables->sources = xrealloc(tables->sources, (tables->num + 1) * sizeof(*tables->sources));
	tables->sources[tables->num] = (struct source){.kind = kind, .path = str_dup(str_of(path))};
	return tables->num++;
}

size_t tables_num(const struct tables *tables)
{
	return tables->num;
}

const struct table *tables_get(const struct tables *tables, size_t index)
{
	BUG_ON(index >= tables->num);
	return tables->sources[index].table;
}

// ---- looking ------------------------------------------------------------

static struct look look_at(const char *path)
{
	struct stat status;
	if (stat(path, &status) < 0)
		return (struct look){.error = errno};
	return (struct look){
	    0, status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_look(const struct look *a, const struct look *b)
{
	return a->error == b->error && a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && same_time(&a->modified, &b->modified) &&
	       same_time(&a->changed, &b->changed);
}

// ---- reading ------------------------------------------------------------

static struct table *read_source(const struct source *source, size_t index, struct text *why)
{
	uint32_t slot = (uint32_t)index;
	switch (source->kind) {
	case TABLE_PREFIXES: return prefixes_load(source->path, slot, why);
	case TABLE_COUNTRY: return geoip_load(GEOIP_COUNTRY, source->path, slot, why);
	case TABLE_ASN: return geoip_load(GEOIP_ASN, source->path, slot, why);
	}
	BUG_ON(true);
}

static struct table *settle(struct source *source, const struct look *look, struct table *table)
{
	source->judged = *look;
	source->num_waited = 0;
	if (table)
		source->size = look->size;
	return table;
}

// A file that changed while it was read is not judged: half of a list looks like
// a whole one.
static struct table *judge(
    struct source *source, size_t index, const struct look *look, struct text *why)
{
	struct table *table = read_source(source, index, why);
	source->seen = look_at(source->path);
	if (same_look(look, &source->seen))
		return settle(source, look, table);
	table_free(&table);
	*why = text_in(why->at, why->cap);
	return NULL;
}

static bool has_grown(const struct look *before, const struct look *after)
{
	return !before->error && !after->error && before->device == after->device &&
	       before->inode == after->inode && before->size < after->size;
}

// Takes it or does not judge it.  A database is no list of lines, any first part
// of which could be used.
static struct table *take_in_a_hurry(struct source *source, size_t index, struct text *why)
{
	if (source->kind != TABLE_PREFIXES)
		return NULL;
	struct look look = look_at(source->path);
	struct table *table = prefixes_load_growing(source->path, (uint32_t)index, why);
	source->seen = look_at(source->path);
	if (table && (same_look(&look, &source->seen) || has_grown(&look, &source->seen)))
		return settle(source, &look, table);
	table_free(&table);
	return NULL;
}

static bool load_source(struct source *source, size_t index, struct text *why)
{
	struct look look = look_at(source->path);
	source->table = judge(source, index, &look, why);
	if (!source->table && text_is_empty(why))
		source->table = take_in_a_hurry(source, index, why);
	if (!source->table && text_is_empty(why))
		text_addf(why, "%s: it is being written at this moment; try again", source->path);
	return source->table;
}

bool tables_load(struct tables *tables, tables_news_fn *on_news, void *context)
{
	bool all = true;
	for (size_t i = 0; i < tables->num; i++) {
		char room[WHY_MAX];
		struct text why = TEXT(room);
		if (load_source(&tables->sources[i], i, &why))
			continue;
		all = false;
		on_news(context, TABLES_REFUSED, i, text_str(&why));
	}
	return all;
}

static void replace(struct source *source, struct table *table)
{
	table_free(&source->table);
	source->table = table;
}

static bool is_being_rewritten(
    const struct source *source, const struct look *before, const struct look *look)
{
	return look->inode == before->inode && look->size < source->size;
}

static struct table *take_changed(
    struct source *source, size_t index, const struct look *look, struct text *why)
{
	struct look before = source->seen;
	struct table *table = NULL;
	source->seen = *look;
	if (same_look(look, &before))
		table = judge(source, index, look, why);
	if (!table && text_is_empty(why) && source->num_waited % LOOKS_PATIENT == 0 &&
	    !is_being_rewritten(source, &before, look))
		table = take_in_a_hurry(source, index, why);
	return table;
}

// What was not judged is told once, should it never rest.
static bool is_news(const struct source *source, struct text *why)
{
	if (!source->num_waited)
		return !text_is_empty(why);
	if (source->num_waited == LOOKS_SILENT && text_is_empty(why))
		text_addf(why,
		    "%s: it has changed again and again for a minute and never looked complete; "
		    "write each new one beside it and rename it to take its place",
		    source->path);
	return source->num_waited == LOOKS_SILENT;
}

static void refresh_source(
    struct source *source, size_t index, tables_news_fn *on_news, void *context)
{
	char room[WHY_MAX];
	struct text why = TEXT(room);
	struct look look = look_at(source->path);
	if (same_look(&look, &source->judged)) {
		source->seen = look;
		source->num_waited = 0;
		return;
	}
	source->num_waited++;
	struct table *table = take_changed(source, index, &look, &why);
	if (table)
		replace(source, table);
	if (table || is_news(source, &why))
		on_news(context, table ? TABLES_REPLACED : TABLES_REFUSED, index, text_str(&why));
}

void tables_refresh(struct tables *tables, tables_news_fn *on_news, void *context)
{
	for (size_t i = 0; i < tables->num; i++)
		refresh_source(&tables->sources[i], i, on_news, context);
}

void tables_check_age(const struct tables *tables, uint64_t now_s, uint64_t max_age_s,
    tables_news_fn *on_news, void *context)
{
	for (size_t i = 0; i < tables->num; i++) {
		const struct source *source = &tables->sources[i];
		char room[WHY_MAX];
		struct text why = TEXT(room);
		if (source->kind == TABLE_PREFIXES || !source->table)
			continue;
		uint64_t built = table_built(source->table);
		if (built >= now_s || now_s - built <= max_age_s)
			continue;
		text_addf(&why,
		    "%s: it is %llu days old; addresses move, so get a newer one and put it in its "
		    "place",
		    source->path, (unsigned long long)(now_s - built) / SECONDS_PER_DAY);
		on_news(context, TABLES_OLD, i, text_str(&why));
	}
}

bool tables_take(struct tables *tables, int fd, struct text *why)
{
	struct table *table = table_open(fd, why);
	if (!table)
		return false;
	uint32_t slot = table_slot(table);
	if (slot < tables->num) {
		replace(&tables->sources[slot], table);
		return true;
	}
	text_addf(why, "the table is for slot %u, and there are %zu", slot, tables->num);
	table_free(&table);
	return false;
}

struct table_facts tables_describe(const struct tables *tables, size_t index)
{
	BUG_ON(index >= tables->num);
	const struct source *source = &tables->sources[index];
	struct table_facts facts = {.kind = source->kind, .path = source->path};
	if (source->table) {
		facts.built = table_built(source->table);
		facts.size = table_size(source->table);
	}
	return facts;
}
