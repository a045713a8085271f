// generation.c: workers, from fork to waitpid.  See generation.h.
#include "proxy/server/generation.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/tables.h"
#include "proxy/base/die.h"
#include "proxy/base/exit_status.h"
#include "proxy/base/log.h"
#include "proxy/server/channel.h"
#include "proxy/server/clock.h"

enum {
	READY_MS = 10 * 1000, // a worker that needs longer hangs
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10 * 1000,
	SETTLED_MS = 10 * 1000,  // a worker that lived so long was no failed start
	END_GRACE_MS = 8 * 1000, // from CHANNEL_end to SIGKILL; last words may take 5 s
	SIGNER_MS = 1000,        // between two sockets for a worker that loses them
};

static const struct worker_process no_worker = {.channel = -1};

struct generation *generation_new(struct generations *generations)
{
	struct generation *generation = xcalloc(1, sizeof(*generation));
	generation->next = generations->newest;
	generation->deadline_ms = CLOCK_NEVER;
	generations->newest = generation;
	return generation;
}

struct worker_process *generation_add_worker(struct generation *generation)
{
	size_t num = ++generation->num_workers;
	generation->workers = xrealloc(generation->workers, num * sizeof(no_worker));
	generation->workers[num - 1] = no_worker;
	return &generation->workers[num - 1];
}

struct generation *generation_in(const struct generations *generations, enum generation_state state)
{
	struct generation *g = generations->newest;
	while (g && g->state != state)
		g = g->next;
	return g;
}

bool generation_is_ready(const struct generation *generation)
{
	for (size_t i = 0; i < generation->num_workers; i++)
		if (!generation->workers[i].is_ready)
			return false;
	return true;
}

_Static_assert(LIMITS_WORKERS <= (int)METRICS_WORKERS, "each worker counts in its place");

static bool find_id(const struct generations *generations, unsigned *out_id)
{
	bool used[LIMITS_WORKERS] = {false};
	for (const struct generation *g = generations->newest; g; g = g->next)
		for (size_t i = 0; i < g->num_workers; i++)
			used[g->workers[i].id] |= g->workers[i].pid != 0;
	for (*out_id = 0; *out_id < LIMITS_WORKERS; ++*out_id)
		if (!used[*out_id])
			return true;
	return false;
}

// Orders come over the channel only.  A terminal's interrupt or a service
// manager's signal to the whole group must not end sessions that the
// supervisor is about to drain, so these signals stay ignored.
static void reset_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2};
	sigset_t none;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_foreign(const struct generations *generations)
{
	for (size_t i = 0; i < sizeof(generations->private_fds) / sizeof(int); i++)
		if (generations->private_fds[i] >= 0)
			close(generations->private_fds[i]);
	if (generations->metrics_socket.is_open)
		close(generations->metrics_socket.fd);
	for (const struct generation *g = generations->newest; g; g = g->next) {
		for (size_t i = 0; i < g->num_workers; i++)
			if (g->workers[i].channel >= 0)
				close(g->workers[i].channel);
		if (g->keys)
			keys_process_close(g->keys);
	}
	helpers_close(&generations->helpers);
}

// What is from before a reload would be kept for as long as this worker lives: tables,
// which are large, and secrets.
static void forget_foreign(const struct generations *generations, const struct generation *own)
{
	for (const struct generation *g = generations->newest; g; g = g->next)
		if (g != own && g->snapshot) {
			tables_free(&g->snapshot->rulebook.tables);
			snapshot_wipe(g->snapshot);
		}
}

void generations_forget(const struct generations *generations)
{
	struct limits *limits = generations->limits;
	struct ledger *ledger = generations->ledger;
	struct host_answers *host_answers = generations->host_answers;
	struct tickets *tickets = generations->tickets;
	struct metrics *metrics = generations->metrics;
	reset_signals();
	close_foreign(generations);
	forget_foreign(generations, NULL);
	limits_free(&limits);
	ledger_free(&ledger);
	host_answers_free(&host_answers);
	tickets_free(&tickets);
	metrics_free(&metrics);
}

static _Noreturn void fail_worker(const char *what)
{
	log_why(LOG_start_failed, "worker: cannot %s: %s", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static _Noreturn void become_worker(const struct generations *generations,
    const struct generation *generation, size_t slot, int channel, int signer)
{
	size_t num;
	reset_signals();
	close_foreign(generations);
	forget_foreign(generations, generation);
	struct worker_socket *share =
	    sockets_share(generation->plan, slot, generation->num_workers, &num);
	const struct config *config = generation->snapshot->config;
	if (!sockets_listen(&generations->sockets, config, share, num))
		fail_worker("listen");
	if (!tickets_be_reader(generations->tickets))
		fail_worker("map the ticket keys");
	if (!metrics_be_worker(generations->metrics, generation->workers[slot].id))
		fail_worker("map its page of metrics");
	struct worker_start start = {
	    .snapshot = generation->snapshot,
	    .limits = generations->limits,
	    .ledger = generations->ledger,
	    .host_answers = generations->host_answers,
	    .tickets = generations->tickets,
	    .num_workers = generation->num_workers,
	    .id = generation->workers[slot].id,
	    .channel = channel,
	    .signer = signer,
	    .sockets = share,
	    .num_sockets = num,
	    .identity = generation->identity,
	    .is_replacement = generation->state != GENERATION_starting,
	};
	worker_run(&start);
}

// False with the reason in *why.
static bool fork_worker(const struct generations *generations, struct generation *generation,
    size_t slot, struct text *why)
{
	struct worker_process *worker = &generation->workers[slot];
	int channel;
	if (!find_id(generations, &worker->id)) {
		text_addf(why,
		    "%d workers are alive, most of them draining, and there is no place for more; "
		    "lower drain_timeout or wait",
		    LIMITS_WORKERS);
		return false;
	}
	if (!channel_open(&worker->channel, &channel)) {
		text_addf(why, "cannot open a channel to it: %s", strerror(errno));
		return false;
	}
	int signer = generation->keys ? keys_process_join(generation->keys) : -1;
	worker->lacks_signer = generation->keys && signer < 0;
	metrics_begin_worker(generations->metrics, worker->id);
	worker->pid = fork();
	if (worker->pid == 0)
		become_worker(generations, generation, slot, channel, signer);
	close(channel);
	if (signer >= 0)
		close(signer);
	if (worker->pid > 0) {
		metrics_add(METRIC_workers_started, 0, 1);
		return true;
	}
	text_addf(why, "cannot start a process: %s", strerror(errno));
	close(worker->channel);
	return false;
}

static void plan_restart(
    const struct generation *generation, struct worker_process *worker, uint64_t now)
{
	if (now - worker->started_ms >= SETTLED_MS)
		worker->backoff_ms = 0;
	worker->restart_ms = now + worker->backoff_ms;
	if (worker->backoff_ms) {
		struct log_line line;
		log_begin(&line, LOG_worker_delayed);
		log_u64(&line, "generation", generation->number);
		log_u64(&line, "ms", worker->backoff_ms);
		log_end(&line);
	}
	worker->backoff_ms = worker->backoff_ms
	                         ? clock_earlier(2 * worker->backoff_ms, BACKOFF_MAX_MS)
	                         : BACKOFF_MIN_MS;
}

static void start_worker(
    struct generations *generations, struct generation *generation, size_t slot)
{
	char room[256];
	struct text why = TEXT(room);
	struct worker_process *worker = &generation->workers[slot];
	uint64_t backoff_ms = worker->backoff_ms, now = clock_ms();
	*worker = no_worker;
	worker->backoff_ms = backoff_ms;
	worker->started_ms = now;
	if (fork_worker(generations, generation, slot, &why))
		return;
	worker->pid = 0;
	worker->channel = -1;
	log_why(LOG_worker_not_started, "%s", room);
	if (generation->state == GENERATION_starting)
		generation->state = GENERATION_failed;
	else
		plan_restart(generation, worker, now);
}

struct generation *generation_start(struct generations *generations, struct snapshot *snapshot,
    struct socket_plan *plan, struct helper_command *helper_command,
    const struct sandbox_identity *identity, size_t num_workers)
{
	struct generation *generation = generation_new(generations);
	generation->number = ++generations->last_number;
	generation->snapshot = snapshot;
	generation->plan = plan;
	generation->identity = *identity;
	generation->helper_command = helper_command;
	generation->num_helpers = snapshot->config->winbind.helpers;
	while (generation->num_workers < num_workers)
		generation_add_worker(generation);
	if (snapshot->signer)
		generation->keys = keys_process_new(generations, snapshot, identity);
	if (snapshot->signer && !generation->keys)
		generation->state = GENERATION_failed;
	for (size_t i = 0; i < num_workers && generation->state == GENERATION_starting; i++)
		start_worker(generations, generation, i);
	return generation;
}

static void tell(const struct generation *generation, enum channel_message message)
{
	for (size_t i = 0; i < generation->num_workers; i++)
		if (generation->workers[i].channel >= 0)
			channel_send(generation->workers[i].channel, message);
}

static bool has_workers(const struct generation *generation)
{
	for (size_t i = 0; i < generation->num_workers; i++)
		if (generation->workers[i].pid)
			return true;
	return false;
}

static bool is_over(const struct generation *generation)
{
	switch (generation->state) {
	case GENERATION_starting:
	case GENERATION_serving: return false;
	case GENERATION_failed:
	case GENERATION_draining:
	case GENERATION_ending:
	case GENERATION_killed:
	case GENERATION_STATES: break;
	}
	return !has_workers(generation) && !(generation->keys && generation->keys->pid);
}

static void kill_workers(const struct generation *generation)
{
	for (size_t i = 0; i < generation->num_workers; i++)
		if (generation->workers[i].pid)
			kill(generation->workers[i].pid, SIGKILL);
	if (generation->keys && generation->keys->pid)
		kill(generation->keys->pid, SIGKILL);
}

// The workers were told first: they empty their queues before they close them.
static void give_up_resources(struct generations *generations, struct generation *generation)
{
	sockets_release(&generations->sockets, &generation->plan);
	snapshot_free(&generation->snapshot);
	if (generation->keys)
		keys_process_let_go(generation->keys);
}

void generation_drain(
    struct generations *generations, struct generation *generation, uint64_t deadline_ms)
{
	generation->deadline_ms = clock_earlier(generation->deadline_ms, deadline_ms);
	if (generation->state == GENERATION_starting || generation->state == GENERATION_failed ||
	    generation->state == GENERATION_serving) {
		generation->state = GENERATION_draining;
		tell(generation, CHANNEL_drain);
		give_up_resources(generations, generation);
	}
}

void generation_end(
    struct generations *generations, struct generation *generation, uint64_t deadline_ms)
{
	generation->state = GENERATION_ending;
	generation->deadline_ms = deadline_ms;
	tell(generation, CHANNEL_end);
	give_up_resources(generations, generation);
}

static void note_ready(const struct generation *generation, struct worker_process *worker)
{
	struct log_line line;
	worker->is_ready = true;
	log_begin(&line, LOG_worker_started);
	log_u64(&line, "pid", (uint64_t)worker->pid);
	log_u64(&line, "generation", generation->number);
	log_end(&line);
}

static void read_channel(const struct generation *generation, struct worker_process *worker)
{
	enum channel_message message;
	enum channel_result result;
	while ((result = channel_receive(worker->channel, &message, NULL)) == CHANNEL_RECEIVED) {
		if (message == CHANNEL_ready)
			note_ready(generation, worker);
		else if (message == CHANNEL_helper_wanted)
			helpers_want(&worker->helper_wish);
		else if (message == CHANNEL_users_wanted)
			worker->lacks_users = true;
		else if (message == CHANNEL_signer_wanted)
			worker->lacks_signer = true;
	}
	if (result == CHANNEL_GONE) {
		close(worker->channel);
		worker->channel = -1;
	}
}

void generations_read(struct generations *generations)
{
	for (struct generation *g = generations->newest; g; g = g->next)
		for (size_t i = 0; i < g->num_workers; i++)
			if (g->workers[i].channel >= 0)
				read_channel(g, &g->workers[i]);
}

static void log_ended(
    enum log_event event, const struct generation *generation, pid_t pid, int status)
{
	char room[128];
	struct text why = TEXT(room);
	struct log_line line;
	exit_status_add(&why, status);
	log_begin(&line, event);
	log_u64(&line, "pid", (uint64_t)pid);
	log_u64(&line, "generation", generation->number);
	log_str(&line, "why", text_str(&why));
	log_end(&line);
}

static enum log_event event_of_end(enum generation_state state, int status)
{
	switch (state) {
	case GENERATION_starting: return LOG_worker_not_started;
	case GENERATION_serving: return LOG_worker_died;
	case GENERATION_failed:
	case GENERATION_draining:
	case GENERATION_ending: return status == 0 ? LOG_worker_drained : LOG_worker_lost;
	case GENERATION_killed: return status == 0 ? LOG_worker_drained : LOG_worker_killed;
	case GENERATION_STATES: break;
	}
	return LOG_worker_drained;
}

static void count_end(
    const struct generations *generations, const struct worker_process *worker, int status)
{
	uint64_t num_lost = metrics_end_worker(generations->metrics, worker->id);
	metrics_add(METRIC_sessions_lost, 0, (int64_t)num_lost);
	metrics_add(METRIC_workers_died, 0, status != 0);
}

static void bury(struct generations *generations, struct generation *generation,
    struct worker_process *worker, int status)
{
	bool had_sessions = worker->is_ready || status == 0;
	enum log_event event = event_of_end(generation->state, status);
	// One that was killed because it was not ready has lost nothing.
	if (event == LOG_worker_lost && !had_sessions)
		event = LOG_worker_drained;
	log_ended(event, generation, worker->pid, status);
	limits_forget_worker(generations->limits, worker->id);
	count_end(generations, worker, status);
	if (worker->channel >= 0)
		close(worker->channel);
	worker->channel = -1;
	worker->pid = 0;
	worker->is_ready = false;
	if (generation->state == GENERATION_starting)
		generation->state = GENERATION_failed;
	else if (generation->state == GENERATION_serving)
		plan_restart(generation, worker, clock_ms());
}

// Its worker may have ended before it.
static void on_helper_end(void *context, const struct helper_process *helper)
{
	const struct generations *generations = context;
	for (struct generation *g = generations->newest; g; g = g->next)
		for (size_t i = 0; i < g->num_workers; i++)
			if (g->workers[i].pid == helper->worker)
				helpers_put_off(&g->workers[i].helper_wish, helper, clock_ms());
}

static struct generation *generation_of_keys(const struct generations *generations, pid_t pid)
{
	struct generation *g = generations->newest;
	while (g && !(g->keys && g->keys->pid == pid))
		g = g->next;
	return g;
}

// One that was let go ends with its workers, and is killed with them.
static void bury_keys(const struct generation *generation, int status)
{
	struct keys_process *keys = generation->keys;
	bool is_needed = keys->channel >= 0 || (status && generation->state != GENERATION_killed &&
	                                           has_workers(generation));
	if (is_needed)
		log_ended(LOG_keys_ended, generation, keys->pid, status);
	keys_process_ended(keys, clock_ms());
}

bool generations_reaped(struct generations *generations, pid_t pid, int status)
{
	if (helpers_reaped(&generations->helpers, pid, status, on_helper_end, generations))
		return true;
	const struct generation *owner = generation_of_keys(generations, pid);
	if (owner) {
		bury_keys(owner, status);
		return true;
	}
	for (struct generation *g = generations->newest; g; g = g->next)
		for (size_t i = 0; i < g->num_workers; i++)
			if (g->workers[i].pid == pid) {
				bury(generations, g, &g->workers[i], status);
				return true;
			}
	return false;
}

static void log_drain_over(const struct generation *generation)
{
	struct log_line line;
	log_begin(&line, LOG_drain_over);
	log_u64(&line, "generation", generation->number);
	log_end(&line);
}

static void tick_deadline(
    struct generations *generations, struct generation *generation, uint64_t now_ms)
{
	if (now_ms < generation->deadline_ms || is_over(generation))
		return;
	if (generation->state == GENERATION_draining) {
		log_drain_over(generation);
		generation_end(generations, generation, now_ms + END_GRACE_MS);
	} else if (generation->state == GENERATION_ending) {
		generation->state = GENERATION_killed;
		generation->deadline_ms = CLOCK_NEVER;
		kill_workers(generation);
	}
}

// When a worker that is not ready has hung for too long, or one is to be
// started in its place; CLOCK_NEVER: neither.
static uint64_t worker_due(const struct generation *generation, const struct worker_process *worker)
{
	if (worker->pid)
		return worker->is_ready || generation->state == GENERATION_killed
		           ? CLOCK_NEVER
		           : worker->started_ms + READY_MS;
	return generation->state == GENERATION_serving ? worker->restart_ms : CLOCK_NEVER;
}

static void kill_hanging(struct worker_process *worker, uint64_t now_ms)
{
	struct log_line line;
	log_begin(&line, LOG_worker_hangs);
	log_u64(&line, "pid", (uint64_t)worker->pid);
	log_end(&line);
	worker->started_ms = now_ms; // not again at the next tick
	kill(worker->pid, SIGKILL);
}

static void tick_worker(
    struct generations *generations, struct generation *generation, size_t slot, uint64_t now_ms)
{
	struct worker_process *worker = &generation->workers[slot];
	if (now_ms < worker_due(generation, worker))
		return;
	if (worker->pid) {
		kill_hanging(worker, now_ms);
	} else if (generation->snapshot) {
		start_worker(generations, generation, slot);
	} else {
		generations->needs_reload = true;
		worker->started_ms = now_ms;
		plan_restart(generation, worker, now_ms);
	}
}

// A draining generation's workers may have logins under way.
static uint64_t helper_due(const struct generation *generation, const struct worker_process *worker)
{
	bool may_have = generation->helper_command && worker->channel >= 0 &&
	                generation->state != GENERATION_failed &&
	                generation->state != GENERATION_ending &&
	                generation->state != GENERATION_killed;
	return may_have ? helpers_wish_due(&worker->helper_wish) : CLOCK_NEVER;
}

static void tick_helpers(struct generations *generations, const struct generation *generation,
    struct worker_process *worker, uint64_t now_ms)
{
	if (helper_due(generation, worker) != CLOCK_NEVER)
		helpers_grant(&generations->helpers, generation->helper_command,
		    &worker->helper_wish, worker->pid, worker->channel, generation->num_helpers,
		    now_ms);
}

// CLOCK_NEVER: it has one, or none is to be had.
static uint64_t signer_due(const struct generation *generation, const struct worker_process *worker)
{
	bool can = generation->keys && generation->keys->channel >= 0 && worker->channel >= 0;
	return can && worker->lacks_signer ? worker->signer_ms : CLOCK_NEVER;
}

static void tick_signer(
    const struct generation *generation, struct worker_process *worker, uint64_t now_ms)
{
	if (now_ms < signer_due(generation, worker))
		return;
	worker->signer_ms = now_ms + SIGNER_MS;
	int signer = keys_process_join(generation->keys);
	if (signer < 0)
		return;
	worker->lacks_signer = !channel_send_fd(worker->channel, CHANNEL_signer, signer);
	close(signer);
}

static void tick_keys(
    const struct generations *generations, const struct generation *generation, uint64_t now_ms)
{
	if (generation->keys)
		keys_process_tick(generation->keys, generations, has_workers(generation), now_ms);
}

static void free_ended(struct generations *generations)
{
	for (struct generation **link = &generations->newest; *link;) {
		struct generation *generation = *link;
		if (generation->state == GENERATION_failed || !is_over(generation)) {
			link = &generation->next;
			continue;
		}
		*link = generation->next;
		give_up_resources(generations, generation);
		helper_command_free(&generation->helper_command);
		keys_process_free(&generation->keys);
		free(generation->workers);
		free(generation);
	}
}

void generations_tick(struct generations *generations, uint64_t now_ms)
{
	helpers_watch(&generations->helpers, on_helper_end, generations);
	for (struct generation *g = generations->newest; g; g = g->next) {
		tick_keys(generations, g, now_ms);
		for (size_t i = 0; i < g->num_workers; i++) {
			tick_worker(generations, g, i, now_ms);
			tick_signer(g, &g->workers[i], now_ms);
			tick_helpers(generations, g, &g->workers[i], now_ms);
		}
		tick_deadline(generations, g, now_ms);
	}
	free_ended(generations);
}

uint64_t generations_next_due(const struct generations *generations)
{
	uint64_t due = CLOCK_NEVER;
	for (const struct generation *g = generations->newest; g; g = g->next) {
		if (g->state == GENERATION_failed)
			return 0; // at once, and no child need have ended to tell
		due = clock_earlier(due, g->deadline_ms);
		if (g->keys)
			due = clock_earlier(due, keys_process_due(g->keys));
		for (size_t i = 0; i < g->num_workers; i++) {
			due = clock_earlier(due, clock_earlier(worker_due(g, &g->workers[i]),
			                             helper_due(g, &g->workers[i])));
			due = clock_earlier(due, signer_due(g, &g->workers[i]));
		}
	}
	return due;
}

static void make_room(struct pollfd **fds, size_t wanted, size_t *cap_fds)
{
	while (*cap_fds < wanted)
		*cap_fds *= 2;
	*fds = xrealloc(*fds, *cap_fds * sizeof(**fds));
}

void generations_poll(
    const struct generations *generations, struct pollfd **fds, size_t *num_fds, size_t *cap_fds)
{
	size_t num_helpers = helpers_num(&generations->helpers), num_workers = 0;
	for (const struct generation *g = generations->newest; g; g = g->next)
		num_workers += g->num_workers;
	make_room(fds, *num_fds + num_workers + num_helpers, cap_fds);
	for (const struct generation *g = generations->newest; g; g = g->next)
		for (size_t i = 0; i < g->num_workers; i++)
			(*fds)[(*num_fds)++] = (struct pollfd){g->workers[i].channel, POLLIN, 0};
	helpers_poll(&generations->helpers, *fds + *num_fds);
	*num_fds += num_helpers;
}
