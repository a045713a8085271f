// metrics.c: the shared pages, who counts in which, and their sums.  See metrics.h.
//
// Which number is where follows from metrics.def and from the lists that labels come
// from.  Another version may have other ones, so the pages begin with a hash of them all,
// which no version has to be raised by hand for.
//
// Not used: policy/mapping.h, whose pages have a secret and are read and written whole.
#include "proxy/base/metrics.h"

#include <fcntl.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/base/exposition.h"

// No kernel's pages are larger, and a worker maps its own alone.
enum { PAGE = 65536, SUPERVISOR = METRICS_WORKERS };

// Of one process.
struct page {
#define METRIC(token, kind, cells, ...) alignas(8) _Atomic uint64_t token[cells];
#define FACT(...)
#include "proxy/base/metrics.def"
#undef METRIC
#undef FACT
};

// Sparse: places that never had a worker take no memory, as long as nobody looks there.
struct pages {
	union {
		struct {
			uint64_t layout;
			uint64_t began_s;
			_Atomic uint64_t num_used; // places of workers, from the first
		};
		char room[PAGE];
	};
	union {
		struct page page;
		char room[PAGE];
	} places[METRICS_WORKERS + 1];
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock in the pages could be left held by a crash");
_Static_assert(sizeof(struct page) <= PAGE, "a worker has one page");
_Static_assert(offsetof(struct pages, places) % PAGE == 0, "and no other");

struct metrics {
	int fd; // -1: a reader's
	struct pages *pages;
};

#define SUFFIX_counter "_total"
#define SUFFIX_gauge ""

#define METRIC(token, kind, cells, label, help)                                                    \
	[METRIC_##token] = {{"popgate_" #token SUFFIX_##kind, #kind, label, help}, cells,          \
	    offsetof(struct page, token) / sizeof(uint64_t)},
#define FACT(...)
static const struct row {
	struct exposition_family family;
	size_t cells;
	size_t first;
} rows[METRICS] = {
#include "proxy/base/metrics.def"
};
#undef METRIC
#undef FACT

// Of those who have no page.
static struct page nowhere;
static struct page *mine = &nowhere;

static _Atomic uint64_t *cell(struct page *page, enum metric metric, size_t label)
{
	BUG_ON(label >= rows[metric].cells);
	return (_Atomic uint64_t *)page + rows[metric].first + label;
}

// ---- the pages ----------------------------------------------------------

static bool has_label(const struct row *row)
{
	return *row->family.label;
}

// FNV-1a; the NUL at the end counts too.
static uint64_t hash(uint64_t so_far, const char *word)
{
	do
		so_far = (so_far ^ (unsigned char)*word) * 0x100000001b3;
	while (*word++);
	return so_far;
}

static uint64_t layout(metrics_label_fn *label_of)
{
	uint64_t sum = 0xcbf29ce484222325;
	const char *value;
	for (enum metric metric = 0; metric < METRICS; metric++) {
		sum = hash(sum ^ rows[metric].first, rows[metric].family.name);
		for (size_t i = 0; has_label(&rows[metric]) && (value = label_of(metric, i)); i++)
			sum = hash(sum, value);
	}
	return sum;
}

static struct metrics *map(int fd, int rights)
{
	void *at = mmap(NULL, sizeof(struct pages), rights, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return NULL;
	struct metrics *metrics = xcalloc(1, sizeof(*metrics));
	*metrics = (struct metrics){fd, at};
	return metrics;
}

struct metrics *metrics_new(metrics_label_fn *label_of, uint64_t now_s)
{
	int fd = memfd_create("popgate-metrics", MFD_CLOEXEC);
	struct metrics *metrics = NULL;
	if (fd >= 0 && ftruncate(fd, sizeof(struct pages)) == 0)
		metrics = map(fd, PROT_READ | PROT_WRITE);
	if (!metrics) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	metrics->pages->layout = layout(label_of);
	metrics->pages->began_s = now_s;
	return metrics;
}

static bool are_ours(int fd, metrics_label_fn *label_of)
{
	struct stat stat;
	uint64_t found;
	return fstat(fd, &stat) == 0 && stat.st_size == sizeof(struct pages) &&
	       pread(fd, &found, sizeof(found), 0) == sizeof(found) && found == layout(label_of);
}

struct metrics *metrics_open(int fd, metrics_label_fn *label_of)
{
	return are_ours(fd, label_of) ? map(fd, PROT_READ | PROT_WRITE) : NULL;
}

int metrics_fd(const struct metrics *metrics)
{
	return metrics->fd;
}

void metrics_free(struct metrics **metrics)
{
	if (!*metrics)
		return;
	mine = &nowhere;
	munmap((*metrics)->pages, sizeof(struct pages));
	if ((*metrics)->fd >= 0)
		close((*metrics)->fd);
	free(*metrics);
	*metrics = NULL;
}

// ---- counting -----------------------------------------------------------

void metrics_add(enum metric metric, size_t label, int64_t by)
{
	_Atomic uint64_t *at = cell(mine, metric, label);
	uint64_t was = atomic_load_explicit(at, memory_order_relaxed);
	atomic_store_explicit(at, was + (uint64_t)by, memory_order_release);
}

bool metrics_be_worker(struct metrics *metrics, unsigned worker)
{
	off_t offset = offsetof(struct pages, places) + (off_t)worker * PAGE;
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, metrics->fd, offset);
	if (at == MAP_FAILED)
		return false;
	metrics_free(&metrics);
	mine = at;
	return true;
}

void metrics_be_supervisor(struct metrics *metrics)
{
	mine = &metrics->pages->places[SUPERVISOR].page;
}

void metrics_begin_worker(struct metrics *metrics, unsigned worker)
{
	BUG_ON(worker >= METRICS_WORKERS);
	if (atomic_load(&metrics->pages->num_used) <= worker)
		atomic_store(&metrics->pages->num_used, worker + 1);
}

uint64_t metrics_end_worker(struct metrics *metrics, unsigned worker)
{
	struct page *page = &metrics->pages->places[worker].page;
	return atomic_exchange(cell(page, METRIC_sessions_open, 0), 0);
}

// ---- reading ------------------------------------------------------------

// What was opened for reading cannot be mapped to be written, unlike what we have.
int metrics_reader_fd(const struct metrics *metrics)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", metrics->fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

struct metrics *metrics_read(int fd, metrics_label_fn *label_of)
{
	struct metrics *metrics = are_ours(fd, label_of) ? map(fd, PROT_READ) : NULL;
	if (!metrics)
		return NULL;
	close(fd);
	metrics->fd = -1;
	return metrics;
}

// A worker may have been taken over, and say that it has anything.
static size_t num_used(const struct metrics *metrics)
{
	uint64_t num = atomic_load(&metrics->pages->num_used);
	return num < METRICS_WORKERS ? num : METRICS_WORKERS;
}

uint64_t metrics_sum(const struct metrics *metrics, enum metric metric, size_t label)
{
	struct pages *pages = metrics->pages;
	uint64_t sum = atomic_load(cell(&pages->places[SUPERVISOR].page, metric, label));
	for (size_t i = 0; i < num_used(metrics); i++)
		sum += atomic_load(cell(&pages->places[i].page, metric, label));
	return sum;
}

uint64_t metrics_began(const struct metrics *metrics)
{
	return metrics->pages->began_s;
}

static void print_samples(
    const struct metrics *metrics, enum metric metric, metrics_label_fn *label_of, FILE *out)
{
	const struct exposition_family *family = &rows[metric].family;
	const char *value;
	if (!has_label(&rows[metric]))
		exposition_sample(family, STR(""), metrics_sum(metrics, metric, 0), out);
	else
		for (size_t i = 0; (value = label_of(metric, i)); i++)
			exposition_sample(
			    family, str_of(value), metrics_sum(metrics, metric, i), out);
}

void metrics_print(const struct metrics *metrics, metrics_label_fn *label_of, FILE *out)
{
	for (enum metric metric = 0; metric < METRICS; metric++) {
		exposition_begin(&rows[metric].family, out);
		print_samples(metrics, metric, label_of, out);
	}
}
