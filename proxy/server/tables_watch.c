// tables_watch.c: from files that have changed to workers that know.  See
// tables_watch.h.
#include "proxy/server/tables_watch.h"

#include <time.h>

#include "policy/tables.h"
#include "proxy/base/log.h"
#include "proxy/server/channel.h"
#include "proxy/server/clock.h"

enum { LOOK_MS = 1000, AGE_MS = 24 * 60 * 60 * 1000, MS_PER_S = 1000 };

static void send_table(struct generation *generation, struct worker_process *worker, size_t index)
{
	const struct table *table = tables_get(generation->snapshot->rulebook.tables, index);
	if (worker->channel >= 0 &&
	    !channel_send_fd(worker->channel, CHANNEL_table, table_fd(table)))
		worker->lacks_table = true;
}

static void send_to_all(struct generation *generation, size_t index)
{
	for (size_t i = 0; i < generation->num_workers; i++)
		send_table(generation, &generation->workers[i], index);
}

// A worker too busy to empty its channel shall not judge by old tables for ever.
static void send_again(struct generation *generation)
{
	for (size_t i = 0; i < generation->num_workers; i++) {
		struct worker_process *worker = &generation->workers[i];
		if (!worker->lacks_table)
			continue;
		worker->lacks_table = false;
		for (size_t k = 0; k < tables_num(generation->snapshot->rulebook.tables); k++)
			send_table(generation, worker, k);
	}
}

static void log_replaced(const struct generation *generation, size_t index)
{
	struct table_facts facts = tables_describe(generation->snapshot->rulebook.tables, index);
	struct log_line line;
	log_begin(&line, LOG_table_replaced);
	log_str(&line, "path", str_of(facts.path));
	log_u64(&line, "ranges", facts.size.num_ranges);
	log_u64(&line, "generation", generation->number);
	log_end(&line);
}

static void on_news(void *context, enum tables_news news, size_t index, struct str why)
{
	struct generation *generation = context;
	switch (news) {
	case TABLES_REPLACED:
		send_to_all(generation, index);
		log_replaced(generation, index);
		return;
	case TABLES_REFUSED: log_why(LOG_table_refused, "%.*s", STR_ARG(why)); return;
	case TABLES_OLD: log_why(LOG_geoip_old, "%.*s", STR_ARG(why)); return;
	}
}

static bool has_files(const struct generation *generation)
{
	return generation->snapshot && tables_num(generation->snapshot->rulebook.tables);
}

// For each configuration once it serves, and then daily.
static void check_ages(
    struct tables_watch *watch, const struct generations *generations, uint64_t now_ms)
{
	struct generation *serving = generation_in(generations, GENERATION_serving);
	if (!serving || !has_files(serving) ||
	    (serving->number == watch->generation && now_ms < watch->age_ms))
		return;
	watch->generation = serving->number;
	watch->age_ms = now_ms + AGE_MS;
	tables_check_age(serving->snapshot->rulebook.tables, (uint64_t)time(NULL),
	    serving->snapshot->config->geoip.max_age / MS_PER_S, on_news, serving);
}

void tables_watch_tick(
    struct tables_watch *watch, const struct generations *generations, uint64_t now_ms)
{
	if (now_ms < watch->look_ms)
		return;
	watch->look_ms = now_ms + LOOK_MS;
	for (struct generation *g = generations->newest; g; g = g->next)
		if (has_files(g)) {
			send_again(g);
			tables_refresh(g->snapshot->rulebook.tables, on_news, g);
		}
	check_ages(watch, generations, now_ms);
}

uint64_t tables_watch_next_due(
    const struct tables_watch *watch, const struct generations *generations)
{
	for (const struct generation *g = generations->newest; g; g = g->next)
		if (has_files(g))
			return watch->look_ms;
	return CLOCK_NEVER;
}
