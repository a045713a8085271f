// supervisor.c: the supervisor's loop, and what it does on each signal.  See
// supervisor.h.
//
// One turn of the loop: wait, read what children said, note signals (they only
// set wishes), then advance: settle what is under way, grant the next wish.  A
// start, a reload and the aftermath of an upgrade are the same thing, a new
// generation; they differ in what the log says (struct occasion).
//
// Wishes are kept and not counted: a signal that arrives during a reload makes
// one more reload, however many arrive.
#include "proxy/server/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/server/certificates_watch.h"
#include "proxy/server/client_trust_watch.h"
#include "proxy/server/clock.h"
#include "proxy/server/generation.h"
#include "proxy/server/helper_probe.h"
#include "proxy/server/metrics_process.h"
#include "proxy/server/notify.h"
#include "proxy/server/staples.h"
#include "proxy/server/tables_watch.h"
#include "proxy/server/ticket_keys.h"
#include "proxy/server/trial.h"
#include "proxy/server/upgrade.h"
#include "proxy/server/users_watch.h"
#include "proxy/session/session_metrics.h"

enum {
	WORKERS_MAX = 256,
	STOP_GRACE_MS = 1000,
	FAILED_START_MS = 1000, // for workers that were ready when another failed
	POLL_FDS_FEW = 16,
};

enum {
	FD_SIGNALS,
	FD_TRIAL,
	FD_PROBE,
	FD_STAPLES,
	FD_METRICS,
	FD_METRICS_CANDIDATE
}; // indices into private_fds

// Why a new generation is being started, and how its fate is called.
struct occasion {
	enum log_event refused;
	enum log_event done;
};

static const struct occasion first_start = {LOG_start_failed, LOG_ready};
static const struct occasion reload = {LOG_reload_refused, LOG_reload_done};
static const struct occasion upgraded = {LOG_reload_refused, LOG_upgrade_done};

enum life { LIFE_running, LIFE_stopping, LIFE_ending };

struct supervisor {
	const char *config_path;
	char **argv;
	char *binary;
	enum life life;
	int exit_status;
	const struct occasion *occasion;
	bool wants_reload;
	bool wants_upgrade;
	uint64_t drain_timeout_ms;
	struct generations generations;
	struct trial trial;
	struct helper_probe probe;
	struct tables_watch tables_watch;
	struct certificates_watch certificates_watch;
	struct staples staples;
	struct client_trust_watch client_trust_watch;
	struct users_watch users_watch;
	struct ticket_keys ticket_keys;
	struct metrics_process metrics_process;
	struct pollfd *fds;
	size_t cap_fds;
};

static uint64_t drain_deadline(const struct supervisor *supervisor)
{
	uint64_t now = clock_ms(), left = CLOCK_NEVER - now;
	return now + clock_earlier(supervisor->drain_timeout_ms, left);
}

static void drain_all(struct supervisor *supervisor)
{
	uint64_t deadline_ms = drain_deadline(supervisor);
	for (struct generation *g = supervisor->generations.newest; g; g = g->next)
		generation_drain(&supervisor->generations, g, deadline_ms);
}

static void stop(struct supervisor *supervisor, int exit_status)
{
	supervisor->life = LIFE_stopping;
	supervisor->exit_status = exit_status;
	notify_stopping();
	drain_all(supervisor);
	trial_kill(&supervisor->trial);
	helper_probe_stop(&supervisor->probe);
	staples_stop(&supervisor->staples);
}

static void end_all(struct supervisor *supervisor)
{
	// Told a third time, or more: without any grace.
	uint64_t grace_ms = supervisor->life == LIFE_ending ? 0 : STOP_GRACE_MS;
	supervisor->life = LIFE_ending;
	for (struct generation *g = supervisor->generations.newest; g; g = g->next)
		generation_end(&supervisor->generations, g, clock_ms() + grace_ms);
}

// Back to how it was; at the first start there is nothing to go back to.
static void give_up_start(struct supervisor *supervisor)
{
	const struct generation *serving =
	    generation_in(&supervisor->generations, GENERATION_serving);
	char room[256];
	struct text why = TEXT(room);
	metrics_process_withdraw(&supervisor->metrics_process);
	if (supervisor->occasion == &first_start) {
		stop(supervisor, EXIT_FAILURE);
		return;
	}
	metrics_process_keep(&supervisor->metrics_process, &supervisor->generations);
	if (serving && serving->snapshot) {
		const struct log_options *log = &serving->snapshot->config->log;
		if (!log_open(str_of(log->target), log->format, log->level, &why))
			log_why(supervisor->occasion->refused, "%s", room);
	}
	notify_ready();
}

static void refuse(struct supervisor *supervisor, struct str why)
{
	log_why(supervisor->occasion->refused, "%.*s", STR_ARG(why));
	give_up_start(supervisor);
}

static void refuse_problems(struct supervisor *supervisor, const struct problems *problems)
{
	struct str line, rest = text_str(&problems->text);
	while (!str_is_empty(rest)) {
		str_cut(rest, '\n', &line, &rest);
		log_why(supervisor->occasion->refused, "%.*s", STR_ARG(line));
	}
	give_up_start(supervisor);
}

// Before anything starts workers, which close them: numbers of descriptors come again.
static void note_private(struct supervisor *supervisor)
{
	int *private_fds = supervisor->generations.private_fds;
	const struct metrics_socket *candidate = &supervisor->metrics_process.candidate;
	private_fds[FD_TRIAL] = supervisor->trial.output;
	private_fds[FD_PROBE] = supervisor->probe.output;
	private_fds[FD_STAPLES] = supervisor->staples.fetcher.output;
	private_fds[FD_METRICS] = supervisor->metrics_process.channel;
	private_fds[FD_METRICS_CANDIDATE] = candidate->is_open ? candidate->fd : -1;
}

// `auto` is as many as there are processors for us.
static size_t count_workers(const struct config *config)
{
	cpu_set_t processors;
	if (config->site.workers)
		return config->site.workers;
	if (sched_getaffinity(0, sizeof(processors), &processors) < 0)
		return 1;
	int num = CPU_COUNT(&processors);
	return num > WORKERS_MAX ? WORKERS_MAX : (size_t)num;
}

// Everything that can be refused, in the order in which it is cheap to undo.
// Takes over the snapshot.
static bool start_generation(
    struct supervisor *supervisor, struct snapshot *snapshot, struct text *why)
{
	struct generations *generations = &supervisor->generations;
	const struct config *config = snapshot->config;
	const struct log_options *log = &config->log;
	size_t num_workers = count_workers(config);
	struct socket_plan *plan = NULL;
	struct helper_command *helpers = NULL;
	struct sandbox_identity identity;
	if (sandbox_look_up(
	        str_of(config->site.user), str_of(config->site.group), &identity, why) &&
	    users_watch_prepare(&supervisor->users_watch, generations, snapshot, &identity, why) &&
	    (!helpers_are_wanted(config) ||
	        (helpers = helper_command_new(&config->winbind, &identity, why))) &&
	    (plan = sockets_plan(&generations->sockets, config, num_workers, why)) &&
	    metrics_process_prepare(&supervisor->metrics_process, generations, config, why) &&
	    log_open(str_of(log->target), log->format, log->level, why)) {
		staples_put(&supervisor->staples, snapshot);
		ticket_keys_prepare(&supervisor->ticket_keys, generations, config, clock_ms());
		note_private(supervisor);
		generation_start(generations, snapshot, plan, helpers, &identity, num_workers);
		return true;
	}
	helper_command_free(&helpers);
	sockets_release(&generations->sockets, &plan);
	snapshot_free(&snapshot);
	return false;
}

static void load(struct supervisor *supervisor)
{
	struct problems problems;
	char room[1024];
	struct text why = TEXT(room);
	if (supervisor->occasion == &reload) {
		notify_reloading();
		log_why(LOG_reload_started, "%s", supervisor->config_path);
	}
	problems_init(&problems);
	struct snapshot *snapshot = snapshot_load(supervisor->config_path, &problems);
	if (!snapshot)
		refuse_problems(supervisor, &problems);
	else if (!start_generation(supervisor, snapshot, &why))
		refuse(supervisor, text_str(&why));
}

// Whether winbind can judge logins shows beside the service and does not delay it.
static void start_probe(struct supervisor *supervisor, const struct generation *started)
{
	const struct winbind_options *options = &started->snapshot->config->winbind;
	char room[512];
	struct text why = TEXT(room);
	helper_probe_stop(&supervisor->probe);
	if (!started->helper_command)
		return;
	const char *exposed = helpers_share_user(started->snapshot->config);
	if (started->identity.change && exposed)
		log_why(LOG_winbind_exposed, "%s", exposed);
	struct helper_command *command = helper_command_new(options, &started->identity, &why);
	if (command)
		helper_probe_start(&supervisor->probe, command, options);
	else
		log_why(LOG_winbind_unusable, "%s", room);
}

static void tick_probe(struct supervisor *supervisor, uint64_t now_ms)
{
	char room[512];
	struct text why = TEXT(room);
	switch (helper_probe_tick(&supervisor->probe, now_ms, &why)) {
	case HELPER_FINDING_none: return;
	case HELPER_FINDING_ready: log_why(LOG_winbind_ready, "%s", room); return;
	case HELPER_FINDING_domain: log_why(LOG_winbind_domain, "%s", room); return;
	case HELPER_FINDING_unusable: log_why(LOG_winbind_unusable, "%s", room); return;
	}
}

static void put_in_force(struct supervisor *supervisor, struct generation *started)
{
	struct generations *generations = &supervisor->generations;
	struct generation *old = generation_in(generations, GENERATION_serving);
	const struct config *config = started->snapshot->config;
	struct log_line line;
	supervisor->drain_timeout_ms = config->site.drain_timeout;
	started->state = GENERATION_serving;
	users_watch_adopt(&supervisor->users_watch);
	sockets_announce(started->plan, config);
	metrics_process_adopt(&supervisor->metrics_process, generations, started);
	if (old)
		generation_drain(generations, old, drain_deadline(supervisor));
	log_begin(&line, supervisor->occasion->done);
	log_u64(&line, "generation", started->number);
	log_u64(&line, "workers", started->num_workers);
	log_end(&line);
	supervisor->occasion = &reload;
	notify_ready();
	start_probe(supervisor, started);
}

static void settle_start(struct supervisor *supervisor)
{
	struct generations *generations = &supervisor->generations;
	struct generation *failed = generation_in(generations, GENERATION_failed);
	struct generation *starting = generation_in(generations, GENERATION_starting);
	if (starting && generation_is_ready(starting))
		put_in_force(supervisor, starting);
	if (!failed)
		return;
	generation_drain(generations, failed, drain_deadline(supervisor));
	refuse(supervisor,
	    STR("a process of the new configuration did not start; see the lines before"));
}

static void start_trial(struct supervisor *supervisor)
{
	char room[256];
	struct text why = TEXT(room);
	log_why(LOG_upgrade_started, "%s", supervisor->binary);
	if (!trial_start(&supervisor->trial, supervisor->binary, supervisor->config_path, &why))
		log_why(LOG_upgrade_refused, "%s", room);
}

static void finish_trial(struct supervisor *supervisor, int status)
{
	char room[512];
	struct text why = TEXT(room);
	const struct generation *serving =
	    generation_in(&supervisor->generations, GENERATION_serving);
	struct upgrade_state state = {
	    .generations = &supervisor->generations,
	    .drain_timeout_ms = supervisor->drain_timeout_ms,
	    .log = serving && serving->snapshot ? &serving->snapshot->config->log : NULL,
	    .metrics_pid = supervisor->metrics_process.pid,
	};
	bool passed = trial_passed(&supervisor->trial, status, &why);
	if (supervisor->life != LIFE_running)
		return;
	if (passed) {
		notify_reloading();
		upgrade_exec(supervisor->binary, supervisor->argv, &state, &why);
		notify_ready();
	}
	log_why(LOG_upgrade_refused, "%s", room);
}

static bool is_busy(const struct supervisor *supervisor)
{
	return supervisor->trial.pid ||
	       generation_in(&supervisor->generations, GENERATION_starting) ||
	       generation_in(&supervisor->generations, GENERATION_failed);
}

static void grant_wishes(struct supervisor *supervisor)
{
	supervisor->wants_reload |= supervisor->generations.needs_reload;
	supervisor->generations.needs_reload = false;
	while (supervisor->life == LIFE_running && !is_busy(supervisor)) {
		if (supervisor->wants_upgrade) {
			supervisor->wants_upgrade = false;
			start_trial(supervisor);
		} else if (supervisor->wants_reload) {
			supervisor->wants_reload = false;
			load(supervisor);
		} else {
			return;
		}
	}
}

static void on_stop_signal(struct supervisor *supervisor)
{
	if (supervisor->life != LIFE_running) {
		end_all(supervisor);
		return;
	}
	log_why(LOG_draining, "told to stop");
	stop(supervisor, EXIT_SUCCESS);
}

static void reap(struct supervisor *supervisor)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		// Its last word may still be in its channel.
		generations_read(&supervisor->generations);
		helper_probe_reaped(&supervisor->probe, pid);
		if (pid == supervisor->trial.pid)
			finish_trial(supervisor, status);
		else if (!staples_reaped(&supervisor->staples, pid, status) &&
		         !metrics_process_reaped(
		             &supervisor->metrics_process, &supervisor->generations, pid, status))
			generations_reaped(&supervisor->generations, pid, status);
	}
}

static void on_signal(struct supervisor *supervisor, uint32_t signal)
{
	if (signal == SIGCHLD)
		reap(supervisor);
	else if (signal == SIGHUP)
		supervisor->wants_reload = true;
	else if (signal == SIGUSR2)
		supervisor->wants_upgrade = true;
	else
		on_stop_signal(supervisor);
}

static void read_signals(struct supervisor *supervisor)
{
	struct signalfd_siginfo info;
	while (read(supervisor->generations.private_fds[FD_SIGNALS], &info, sizeof(info)) ==
	       sizeof(info))
		on_signal(supervisor, info.ssi_signo);
}

static int timeout_of(const struct supervisor *supervisor)
{
	uint64_t now = clock_ms();
	uint64_t due = clock_earlier(
	    generations_next_due(&supervisor->generations), supervisor->trial.deadline_ms);
	due = clock_earlier(
	    due, tables_watch_next_due(&supervisor->tables_watch, &supervisor->generations));
	due = clock_earlier(due,
	    client_trust_watch_next_due(&supervisor->client_trust_watch, &supervisor->generations));
	due = clock_earlier(
	    due, users_watch_next_due(&supervisor->users_watch, &supervisor->generations));
	due = clock_earlier(due,
	    certificates_watch_next_due(&supervisor->certificates_watch, &supervisor->generations));
	due = clock_earlier(due, staples_next_due(&supervisor->staples, &supervisor->generations));
	due = clock_earlier(
	    due, ticket_keys_next_due(&supervisor->ticket_keys, &supervisor->generations));
	due = clock_earlier(due, supervisor->probe.deadline_ms);
	due = clock_earlier(
	    due, metrics_process_next_due(&supervisor->metrics_process, &supervisor->generations));
	if (due == CLOCK_NEVER)
		return -1;
	return due <= now ? 0 : (int)clock_earlier(due - now, INT_MAX);
}

static void wait_for_news(struct supervisor *supervisor)
{
	size_t num = 5;
	supervisor->fds[0] =
	    (struct pollfd){supervisor->generations.private_fds[FD_SIGNALS], POLLIN, 0};
	supervisor->fds[1] = (struct pollfd){supervisor->trial.output, POLLIN, 0};
	supervisor->fds[2] = (struct pollfd){supervisor->probe.output, POLLIN, 0};
	supervisor->fds[3] = (struct pollfd){supervisor->staples.fetcher.output, POLLIN, 0};
	supervisor->fds[4] = (struct pollfd){supervisor->metrics_process.ear, POLLIN, 0};
	generations_poll(&supervisor->generations, &supervisor->fds, &num, &supervisor->cap_fds);
	// Everything is non-blocking and cheap to ask, so which it was does not matter.
	(void)poll(supervisor->fds, num, timeout_of(supervisor));
}

// It tells how draining goes on, too.
static void tick_metrics(struct supervisor *supervisor, uint64_t now_ms)
{
	struct generations *generations = &supervisor->generations;
	if (supervisor->life != LIFE_running && !generations->newest)
		metrics_process_stop(&supervisor->metrics_process);
	metrics_process_tick(
	    &supervisor->metrics_process, generations, &supervisor->staples, now_ms);
}

static void advance(struct supervisor *supervisor)
{
	uint64_t now = clock_ms();
	trial_tick(&supervisor->trial, now);
	tick_probe(supervisor, now);
	staples_tick(&supervisor->staples, &supervisor->generations, now);
	settle_start(supervisor);
	note_private(supervisor);
	generations_tick(&supervisor->generations, now);
	tick_metrics(supervisor, now);
	tables_watch_tick(&supervisor->tables_watch, &supervisor->generations, now);
	certificates_watch_tick(&supervisor->certificates_watch, &supervisor->generations, now);
	ticket_keys_tick(&supervisor->ticket_keys, &supervisor->generations, now);
	client_trust_watch_tick(&supervisor->client_trust_watch, &supervisor->generations, now);
	supervisor->wants_reload |=
	    users_watch_tick(&supervisor->users_watch, &supervisor->generations, now);
	grant_wishes(supervisor);
}

static bool is_running(const struct supervisor *supervisor)
{
	return supervisor->life == LIFE_running || supervisor->generations.newest ||
	       supervisor->generations.helpers.first || supervisor->trial.pid ||
	       supervisor->staples.fetcher.pid ||
	       metrics_process_is_there(&supervisor->metrics_process);
}

static bool open_signals(struct supervisor *supervisor)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2, SIGCHLD};
	sigset_t mask;
	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&mask, signals[i]);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	supervisor->generations.private_fds[FD_SIGNALS] =
	    signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	return supervisor->generations.private_fds[FD_SIGNALS] >= 0;
}

static bool is_this_binary(const char *path)
{
	struct stat named, running;
	return stat(path, &named) == 0 && stat("/proc/self/exe", &running) == 0 &&
	       named.st_dev == running.st_dev && named.st_ino == running.st_ino;
}

// The path to execute at an upgrade, found now, because by then the file has
// been replaced.  As it was called rather than what links lead to: a link may be
// what an upgrade changes.
static char *find_binary(const char *name)
{
	char path[PATH_MAX] = "";
	char folder[PATH_MAX];
	if (strchr(name, '/') && getcwd(folder, sizeof(folder)) &&
	    snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : folder,
	        name[0] == '/' ? "" : "/", name) < (int)sizeof(path) &&
	    is_this_binary(path))
		return str_dup(str_of(path));
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path));
	return str_dup((struct str){path, len > 0 ? (size_t)len : 0});
}

static bool take_over(struct supervisor *supervisor, int state)
{
	char room[512];
	struct text why = TEXT(room);
	supervisor->occasion = &upgraded;
	if (upgrade_read(state, &supervisor->generations, &supervisor->drain_timeout_ms, &why))
		return true;
	log_why(LOG_start_failed,
	    "the state left by the former binary cannot be used: %s; its workers finish their "
	    "sessions",
	    room);
	return false;
}

static bool open_limits(struct supervisor *supervisor)
{
	struct generations *generations = &supervisor->generations;
	if (generations->limits)
		return true;
	if (supervisor->occasion == &upgraded)
		log_why(LOG_limits_reset, "the shared pages are of another version");
	generations->limits = limits_new();
	if (!generations->limits)
		log_why(LOG_start_failed, "cannot make the shared pages: %s", strerror(errno));
	return generations->limits;
}

static bool open_ledger(struct supervisor *supervisor)
{
	struct generations *generations = &supervisor->generations;
	if (generations->ledger)
		return true;
	if (supervisor->occasion == &upgraded)
		log_why(LOG_ledger_reset, "the shared pages are of another version");
	generations->ledger = ledger_new();
	if (!generations->ledger)
		log_why(LOG_start_failed, "cannot make the shared pages: %s", strerror(errno));
	return generations->ledger;
}

// After an upgrade from another version the name servers have to answer again,
// as after a start.
static bool open_host_answers(struct generations *generations)
{
	if (!generations->host_answers)
		generations->host_answers = host_answers_new();
	if (!generations->host_answers)
		log_why(LOG_start_failed, "cannot make the shared pages: %s", strerror(errno));
	return generations->host_answers;
}

// After an upgrade from another version clients shake hands in full once.
static bool open_tickets(struct generations *generations)
{
	if (!generations->tickets)
		generations->tickets = tickets_new();
	if (!generations->tickets)
		log_why(LOG_start_failed, "cannot make the shared pages: %s", strerror(errno));
	return generations->tickets;
}

// After an upgrade from a version that counts other things, counting begins anew.
static bool open_metrics(struct supervisor *supervisor)
{
	struct generations *generations = &supervisor->generations;
	if (!generations->metrics && supervisor->occasion == &upgraded)
		log_why(LOG_metrics_reset, "the shared pages are of another version");
	if (!generations->metrics)
		generations->metrics = metrics_new(session_metric_label, (uint64_t)time(NULL));
	if (!generations->metrics)
		log_why(LOG_start_failed, "cannot make the shared pages: %s", strerror(errno));
	else
		metrics_be_supervisor(generations->metrics);
	return generations->metrics;
}

static bool prepare(struct supervisor *supervisor)
{
	int state = upgrade_inherited();
	if (state >= 0 && !take_over(supervisor, state))
		return false;
	metrics_process_take_over(
	    &supervisor->metrics_process, supervisor->generations.metrics_socket.former);
	sandbox_raise_descriptors();
	if (!open_signals(supervisor)) {
		log_why(LOG_start_failed, "cannot watch for signals: %s", strerror(errno));
		return false;
	}
	return open_limits(supervisor) && open_ledger(supervisor) &&
	       open_host_answers(&supervisor->generations) &&
	       open_tickets(&supervisor->generations) && open_metrics(supervisor);
}

static void serve(struct supervisor *supervisor)
{
	// Children that ended between two images sent their signal to the first.
	reap(supervisor);
	for (supervisor->wants_reload = true; advance(supervisor), is_running(supervisor);) {
		wait_for_news(supervisor);
		generations_read(&supervisor->generations);
		trial_read(&supervisor->trial);
		read_signals(supervisor);
	}
	if (supervisor->exit_status == EXIT_SUCCESS)
		log_why(LOG_stopped, "all sessions have ended");
}

int supervisor_run(const char *config_path, char **argv)
{
	struct supervisor supervisor = {
	    .config_path = config_path,
	    .argv = argv,
	    .binary = find_binary(argv[0]),
	    .occasion = &first_start,
	    .generations.private_fds = {-1, -1, -1, -1, -1, -1},
	    .fds = xcalloc(POLL_FDS_FEW, sizeof(struct pollfd)),
	    .cap_fds = POLL_FDS_FEW,
	    .exit_status = EXIT_FAILURE,
	    .drain_timeout_ms = FAILED_START_MS,
	};
	trial_init(&supervisor.trial);
	helper_probe_init(&supervisor.probe);
	staples_init(&supervisor.staples);
	metrics_process_init(&supervisor.metrics_process);
	if (prepare(&supervisor))
		serve(&supervisor);
	staples_done(&supervisor.staples);
	limits_free(&supervisor.generations.limits);
	ledger_free(&supervisor.generations.ledger);
	host_answers_free(&supervisor.generations.host_answers);
	certificates_watch_done(&supervisor.certificates_watch);
	tickets_free(&supervisor.generations.tickets);
	metrics_process_done(&supervisor.metrics_process);
	metrics_free(&supervisor.generations.metrics);
	if (supervisor.generations.private_fds[FD_SIGNALS] >= 0)
		close(supervisor.generations.private_fds[FD_SIGNALS]);
	free(supervisor.fds);
	free(supervisor.binary);
	log_flush();
	return supervisor.exit_status;
}
