// metrics.h: what popgate counts of itself, in pages that all its processes share.
//
// Used by everyone, as the log is: an event is metrics_add(METRIC_logins_failed, ...).
// One set of pages (a memfd), made by the supervisor and kept over reloads and
// upgrades.  Each worker counts in a page of its own, and the supervisor in one more;
// so every number has one writer, and counting is a load and a store.  Whoever reads
// adds the pages up (metrics_server.c of proxy/server).
//
// A page belongs to a place and not to a process: the next worker there goes on with
// what it finds.  So counters never go back, however a worker ends; what it had of
// gauges the supervisor takes back (metrics_end_worker).
//
// A process that is none of these counts where nobody looks.
//
// Not done: one page for all, with atomic additions.  The workers would fight for its
// cache lines at each session.
#ifndef POPGATE_PROXY_BASE_METRICS_H
#define POPGATE_PROXY_BASE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Workers alive at a time, draining ones included; the supervisor has the place behind.
enum { METRICS_WORKERS = 512 };

enum metric {
#define METRIC(token, ...) METRIC_##token,
#define FACT(...)
#include "proxy/base/metrics.def"
	METRICS
#undef METRIC
#undef FACT
};

// How many values the label of a metric may have: METRIC_CELLS_sessions_closed, ...
enum {
#define METRIC(token, kind, cells, ...) METRIC_CELLS_##token = cells,
#define FACT(...)
#include "proxy/base/metrics.def"
#undef METRIC
#undef FACT
};

struct metrics;

// The value of a metric's label whose number this is; NULL when there are no more.  It is
// asked of metrics that have a label.
typedef const char *metrics_label_fn(enum metric metric, size_t label);

// New pages in which nothing is counted, begun at this unix time.  NULL with errno set
// when the kernel refuses.
struct metrics *metrics_new(metrics_label_fn *label_of, uint64_t now_s);

// Maps pages that an earlier popgate made (metrics_fd, kept over execv).  NULL when fd
// holds none, or it counted other things.
struct metrics *metrics_open(int fd, metrics_label_fn *label_of);
int metrics_fd(const struct metrics *metrics);
void metrics_free(struct metrics **metrics);

// ---- counting -----------------------------------------------------------

// One more, or `by` more, under the number of a label; 0 where there is none.
void metrics_add(enum metric metric, size_t label, int64_t by);

// For a new worker, once, before it counts: it counts in its place from here on, and can
// reach no other.  False with errno set when the kernel refuses.
__attribute__((warn_unused_result)) bool metrics_be_worker(
    struct metrics *metrics, unsigned worker);

// The same for the supervisor, who keeps all of them.
void metrics_be_supervisor(struct metrics *metrics);

// The supervisor's: a worker is about to have this place; or had it, and is gone.  The
// latter says how many sessions it had.
void metrics_begin_worker(struct metrics *metrics, unsigned worker);
uint64_t metrics_end_worker(struct metrics *metrics, unsigned worker);

// ---- reading ------------------------------------------------------------

// The descriptor of the pages for somebody who may only read; -1 with errno set.
int metrics_reader_fd(const struct metrics *metrics);

// Maps what metrics_reader_fd gave; takes fd over.  NULL as with metrics_open.
struct metrics *metrics_read(int fd, metrics_label_fn *label_of);

// The sum over all places.
uint64_t metrics_sum(const struct metrics *metrics, enum metric metric, size_t label);

// When counting began, by unix time.
uint64_t metrics_began(const struct metrics *metrics);

// All sums, in the text format of Prometheus.
void metrics_print(const struct metrics *metrics, metrics_label_fn *label_of, FILE *out);

#endif
