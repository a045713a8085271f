// hosts.c: names, their addresses, and when to ask again.  See hosts.h.
//
// One timer serves all names, since there are tens of them: when it is due, all
// that are due are asked for, a few at a time.
#include "policy/hosts.h"

#include <stdlib.h>

#include "policy/rdns_answer.h"
#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/net/resolve.h"
#include "proxy/net/timer.h"

enum { ASKING_MAX = 32 }; // names at a time

static const struct hosts_times usual_times = {
    .ttl_min = 30 * 1000,
    .ttl_max = 24 * 60 * 60 * 1000,
    .none_max = 60 * 60 * 1000,
    .retry = 5 * 1000,
    .retry_max = 30 * 1000,
};

// Addresses of one kind.
struct kind {
	struct resolve resolve;
	struct host *host;
	bool is_known;
	struct host_answer last; // good one
	// What is being found out.
	enum resolve_status status;
	struct host_answer found;
};

enum { KIND_V4, KIND_V6, KINDS };

static const enum dns_type kind_types[KINDS] = {DNS_TYPE_A, DNS_TYPE_AAAA};

struct host {
	struct hosts *hosts;
	char *name;
	struct kind kinds[KINDS];
	unsigned num_asking;
	bool first_over; // the first answer is there, or waited for no more
	bool lost_told;  // host_not_found was logged
	uint32_t ttl_s;  // of what is being found out
	uint64_t retry_ms;
	uint64_t due;
	struct list waiting;
};

struct hosts {
	struct net *net; // NULL: not open
	struct resolver *resolver;
	struct host_answers *answers; // NULL: none but our own
	struct hosts_times times;
	uint64_t deadline; // of first answers
	struct timer timer;
	struct host **at;
	size_t num;
	size_t num_asking;
	struct list waking; // whose wait is over, but have not been told yet
};

// ---- what was found out -------------------------------------------------

static bool is_good(enum resolve_status status)
{
	return status == RESOLVE_OK;
}

static bool is_none(enum resolve_status status)
{
	return status == RESOLVE_NXDOMAIN || status == RESOLVE_NODATA;
}

static void log_host(enum log_event event, const struct host *host, enum resolve_status status)
{
	struct log_line line;
	log_begin(&line, event);
	log_str(&line, "host", str_of(host->name));
	log_str(&line, "why", str_of(resolve_status_name(status)));
	log_end(&line);
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

// A kind that has no addresses loses what it had, as the name has others; one
// that could not be asked for keeps them.
static void take_kind(struct host *host, size_t i)
{
	struct hosts *hosts = host->hosts;
	struct kind *kind = &host->kinds[i];
	if (!is_good(kind->status) && !is_none(kind->status))
		return;
	kind->is_known = true;
	kind->last = kind->found;
	if (hosts->answers)
		host_answers_put(hosts->answers, str_of(host->name), kind_types[i], &kind->last,
		    net_now(hosts->net));
}

// What others were told.
static void recall(struct host *host)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct kind *kind = &host->kinds[i];
		kind->is_known = host_answers_get(
		    host->hosts->answers, str_of(host->name), kind_types[i], &kind->last);
	}
}

static uint64_t retry_in(struct host *host)
{
	const struct hosts_times *times = &host->hosts->times;
	host->retry_ms = clamp(2 * host->retry_ms, times->retry, times->retry_max);
	return host->retry_ms;
}

static uint64_t take_good(struct host *host, bool failed)
{
	host->lost_told = false;
	for (size_t i = 0; i < KINDS; i++)
		take_kind(host, i);
	if (failed)
		return retry_in(host);
	host->retry_ms = 0;
	const struct hosts_times *times = &host->hosts->times;
	return clamp((uint64_t)host->ttl_s * 1000, times->ttl_min, times->ttl_max);
}

static uint64_t take_none(struct host *host)
{
	if (!host->lost_told)
		log_host(LOG_host_not_found, host, host->kinds[KIND_V4].status);
	host->lost_told = true;
	for (size_t i = 0; i < KINDS; i++)
		host->kinds[i].is_known = true; // that there is none is an answer
	host->retry_ms = 0;
	const struct hosts_times *times = &host->hosts->times;
	return clamp((uint64_t)host->ttl_s * 1000, times->ttl_min, times->none_max);
}

static uint64_t take_failure(struct host *host, enum resolve_status why)
{
	log_host(LOG_host_failed, host, why);
	return retry_in(host);
}

// Until when it holds, in ms from now.
static uint64_t take_answers(struct host *host)
{
	const struct kind *failed = NULL;
	bool any_good = false;
	for (size_t i = 0; i < KINDS; i++) {
		any_good |= is_good(host->kinds[i].status);
		if (!is_good(host->kinds[i].status) && !is_none(host->kinds[i].status))
			failed = &host->kinds[i];
	}
	if (any_good)
		return take_good(host, failed);
	return failed ? take_failure(host, failed->status) : take_none(host);
}

// They are told from the loop: they may do as they like there.
static void wake_all(struct host *host)
{
	while (!list_is_empty(&host->waiting)) {
		struct hosts_wait *wait = LIST_OWNER(host->waiting.next, struct hosts_wait, link);
		list_move_last(&host->hosts->waking, &wait->link);
		net_defer(host->hosts->net, &wait->task);
	}
}

static void end_first(struct host *host)
{
	host->first_over = true;
	wake_all(host);
}

// ---- asking -------------------------------------------------------------

static void ask_due(struct hosts *hosts);

static void finish(struct host *host)
{
	struct hosts *hosts = host->hosts;
	hosts->num_asking--;
	host->due = net_now(hosts->net) + take_answers(host);
	end_first(host);
	ask_due(hosts);
}

static void on_addrs(struct resolve *resolve, const struct resolve_answer *answer)
{
	struct kind *kind = LIST_OWNER(resolve, struct kind, resolve);
	kind->status = answer->status;
	kind->found.num = answer->num_addrs;
	for (size_t i = 0; i < answer->num_addrs; i++)
		kind->found.addrs[i] = rdns_key_of(&answer->addrs[i]);
	if (answer->ttl_s < kind->host->ttl_s)
		kind->host->ttl_s = answer->ttl_s;
	if (!--kind->host->num_asking)
		finish(kind->host);
}

static void ask(struct host *host)
{
	host->hosts->num_asking++;
	host->num_asking = KINDS;
	host->ttl_s = UINT32_MAX;
	for (size_t i = 0; i < KINDS; i++) {
		struct resolve *resolve = &host->kinds[i].resolve;
		host->kinds[i].host = host;
		resolve->on_done = on_addrs;
		resolve_start(resolve, host->hosts->resolver, kind_types[i], str_of(host->name));
	}
}

// When the timer has something to do for it; UINT64_MAX: never, for when all
// places are taken, whoever ends next asks.
static uint64_t next_of(const struct host *host, uint64_t now)
{
	if (!host->first_over)
		return host->hosts->deadline;
	return !host->num_asking && host->due > now ? host->due : UINT64_MAX;
}

static void ask_due(struct hosts *hosts)
{
	uint64_t now = net_now(hosts->net), next = UINT64_MAX;
	timer_clear(&hosts->timer);
	for (size_t i = 0; i < hosts->num; i++) {
		struct host *host = hosts->at[i];
		if (!host->num_asking && host->due <= now && hosts->num_asking < ASKING_MAX)
			ask(host);
		uint64_t due = next_of(host, now);
		next = due < next ? due : next;
	}
	if (next != UINT64_MAX)
		timer_set(&hosts->timer, next > now ? next - now : 0);
}

static void on_due(struct timer *timer)
{
	struct hosts *hosts = LIST_OWNER(timer, struct hosts, timer);
	bool is_late = net_now(hosts->net) >= hosts->deadline;
	for (size_t i = 0; is_late && i < hosts->num; i++)
		end_first(hosts->at[i]);
	ask_due(hosts);
}

// ---- what owners call ---------------------------------------------------

struct hosts *hosts_new(void)
{
	struct hosts *hosts = xcalloc(1, sizeof(*hosts));
	hosts->times = usual_times;
	list_init(&hosts->waking);
	return hosts;
}

void hosts_set_times(struct hosts *hosts, const struct hosts_times *times)
{
	hosts->times = *times;
}

size_t hosts_add(struct hosts *hosts, const char *name)
{
	BUG_ON(hosts->net);
	for (size_t i = 0; i < hosts->num; i++)
		if (str_eq_nocase(str_of(hosts->at[i]->name), str_of(name)))
			return i;
	struct host *host = xcalloc(1, sizeof(*host));
	host->hosts = hosts;
	host->name = str_dup(str_of(name));
	list_init(&host->waiting);
	hosts->at = xrealloc(hosts->at, (hosts->num + 1) * sizeof(struct host *));
	hosts->at[hosts->num] = host;
	return hosts->num++;
}

void hosts_open(struct hosts *hosts, struct net *net, struct resolver *resolver,
    const struct hosts_options *options)
{
	hosts->net = net;
	hosts->resolver = resolver;
	hosts->answers = options->answers;
	hosts->deadline = net_now(net) + 2 * options->tries * options->timeout_ms;
	timer_init(&hosts->timer, net, on_due);
	for (size_t i = 0; hosts->answers && i < hosts->num; i++)
		recall(hosts->at[i]);
	ask_due(hosts);
}

static void free_hosts(struct hosts *hosts)
{
	for (size_t i = 0; i < hosts->num; i++) {
		free(hosts->at[i]->name);
		free(hosts->at[i]);
	}
	free(hosts->at);
	free(hosts);
}

static void on_closed(struct timer *timer)
{
	free_hosts(LIST_OWNER(timer, struct hosts, timer));
}

static void cancel_all(struct list *waits)
{
	while (!list_is_empty(waits))
		hosts_wait_cancel(LIST_OWNER(waits->next, struct hosts_wait, link));
}

void hosts_close(struct hosts **hosts)
{
	struct hosts *closing = *hosts;
	*hosts = NULL;
	if (!closing)
		return;
	cancel_all(&closing->waking);
	for (size_t i = 0; i < closing->num; i++) {
		cancel_all(&closing->at[i]->waiting);
		for (size_t k = 0; k < KINDS; k++)
			resolve_cancel(&closing->at[i]->kinds[k].resolve);
	}
	if (closing->net)
		timer_close(&closing->timer, on_closed);
	else
		free_hosts(closing);
}

enum host_match hosts_match(const struct hosts *hosts, size_t index, const struct addr *addr)
{
	const struct host *host = hosts->at[index];
	const struct kind *kind = &host->kinds[addr->any.sa_family == AF_INET6 ? KIND_V6 : KIND_V4];
	struct rdns_key wanted = rdns_key_of(addr);
	for (size_t i = 0; i < kind->last.num; i++)
		if (memcmp(&kind->last.addrs[i], &wanted, sizeof(wanted)) == 0)
			return HOST_MATCHES;
	if (kind->is_known)
		return HOST_DIFFERS;
	return host->first_over ? HOST_FAILED : HOST_UNKNOWN;
}

// Whether hosts_match may still say HOST_UNKNOWN.
static bool is_awaited(const struct host *host)
{
	return !host->first_over &&
	       !(host->kinds[KIND_V4].is_known && host->kinds[KIND_V6].is_known);
}

static void run_wait(struct net_task *task)
{
	struct hosts_wait *wait = LIST_OWNER(task, struct hosts_wait, task);
	list_remove(&wait->link);
	wait->net = NULL;
	wait->on_done(wait);
}

void hosts_wait_start(struct hosts_wait *wait, struct hosts *hosts, size_t index)
{
	struct host *host = hosts->at[index];
	BUG_ON(wait->net || !hosts->net);
	wait->net = hosts->net;
	wait->task.run = run_wait;
	list_add_last(&host->waiting, &wait->link);
	if (!is_awaited(host))
		wake_all(host);
}

void hosts_wait_cancel(struct hosts_wait *wait)
{
	if (!wait->net)
		return;
	net_cancel(wait->net, &wait->task);
	list_remove(&wait->link);
	wait->net = NULL;
}
