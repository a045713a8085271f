// upgrade.c: the state of the supervisor, to and from text.  See upgrade.h.
//
//     popgate-state 6
//     drain-timeout 3600000
//     log 0 2 /var/log/popgate.log
//     limits 5
//     ledger 6
//     host-answers 8
//     tickets 9
//     metrics 10
//     metrics-socket 14 127.0.0.1:9110 4714 65534 65534   as configured; who: pid, uid, gid
//     last-generation 7
//     bound [::]:995 [::]:995 pop3s       as configured, as bound, listener
//     socket 6                            belongs to the bound above
//     generation 7 serving -              number, state, deadline
//     keys 4710 11 1234567                pid, channel, started; of the generation above
//     worker 4711 0 12 1 1234567          pid, id, channel, ready, started
//     helper 4713 13 4711 1234567         pid, copy of its end, its worker, started
//     end
#include "proxy/server/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/net/tickets.h"
#include "proxy/server/clock.h"
#include "proxy/session/session_metrics.h"

enum { VERSION = 6, FIELDS_MAX = 5 };

static const char variable[] = "POPGATE_UPGRADE";

static const char *const state_names[] = {
#define GENERATION_STATE(token) [GENERATION_##token] = #token,
#include "proxy/server/generation.def"
#undef GENERATION_STATE
};

// Writing.

// Names are the last field of their line; a control character would end it.
static void write_name(FILE *out, const char *name)
{
	for (; *name; name++)
		fputc((unsigned char)*name < ' ' ? '?' : *name, out);
	fputc('\n', out);
}

static void write_bound(FILE *out, const struct bound *bound)
{
	char wanted_room[ADDR_TEXT_SIZE], actual_room[ADDR_TEXT_SIZE];
	struct text wanted = TEXT(wanted_room), actual = TEXT(actual_room);
	addr_print(&bound->wanted, &wanted);
	addr_print(&bound->actual, &actual);
	fprintf(out, "bound %s %s ", wanted_room, actual_room);
	write_name(out, bound->listener);
	for (size_t i = 0; i < bound->num_fds; i++)
		fprintf(out, "socket %d\n", bound->fds[i]);
}

static void write_metrics_socket(FILE *out, const struct metrics_socket *socket, pid_t pid)
{
	char wanted_room[ADDR_TEXT_SIZE];
	struct text wanted = TEXT(wanted_room);
	if (!socket->is_open)
		return;
	addr_print(&socket->wanted, &wanted);
	fprintf(out, "metrics-socket %d %s %d %u %u\n", socket->fd, wanted_room, (int)pid,
	    (unsigned)socket->identity.uid, (unsigned)socket->identity.gid);
}

// "-" is a number that there is none of.
static void write_number(FILE *out, bool there_is, uint64_t number)
{
	if (there_is)
		fprintf(out, " %llu", (unsigned long long)number);
	else
		fputs(" -", out);
}

static void write_keys(FILE *out, const struct keys_process *keys)
{
	if (!keys || !keys->pid)
		return;
	fprintf(out, "keys %d", (int)keys->pid);
	write_number(out, keys->channel >= 0, (uint64_t)keys->channel);
	write_number(out, true, keys->started_ms);
	fputc('\n', out);
}

static void write_generation(FILE *out, const struct generation *generation)
{
	fprintf(out, "generation %u %s", generation->number, state_names[generation->state]);
	write_number(out, generation->deadline_ms != CLOCK_NEVER, generation->deadline_ms);
	fputc('\n', out);
	write_keys(out, generation->keys);
	for (size_t i = 0; i < generation->num_workers; i++) {
		const struct worker_process *worker = &generation->workers[i];
		if (!worker->pid)
			continue;
		fprintf(out, "worker %d %u", (int)worker->pid, worker->id);
		write_number(out, worker->channel >= 0, (uint64_t)worker->channel);
		write_number(out, true, worker->is_ready);
		write_number(out, true, worker->started_ms);
		fputc('\n', out);
	}
}

static void write_helpers(FILE *out, const struct helpers *helpers)
{
	for (const struct helper_process *h = helpers->first; h; h = h->next)
		if (h->end >= 0)
			fprintf(out, "helper %d %d %d %llu\n", (int)h->pid, h->end, (int)h->worker,
			    (unsigned long long)h->started_ms);
}

static void write_state(FILE *out, const struct upgrade_state *state)
{
	const struct generations *generations = state->generations;
	fprintf(out, "popgate-state %d\ndrain-timeout", VERSION);
	write_number(out, true, state->drain_timeout_ms);
	if (state->log) {
		fprintf(out, "\nlog %d %d ", (int)state->log->format, (int)state->log->level);
		write_name(out, state->log->target);
	} else {
		fputc('\n', out);
	}
	fprintf(out, "limits %d\n", limits_fd(generations->limits));
	fprintf(out, "ledger %d\n", ledger_fd(generations->ledger));
	fprintf(out, "host-answers %d\n", host_answers_fd(generations->host_answers));
	fprintf(out, "tickets %d\n", tickets_fd(generations->tickets));
	fprintf(out, "metrics %d\n", metrics_fd(generations->metrics));
	write_metrics_socket(out, &generations->metrics_socket, state->metrics_pid);
	fprintf(out, "last-generation %u\n", generations->last_number);
	for (const struct bound *b = generations->sockets.bounds; b; b = b->next)
		write_bound(out, b);
	for (const struct generation *g = generations->newest; g; g = g->next)
		write_generation(out, g);
	write_helpers(out, &generations->helpers);
	fprintf(out, "end\n");
}

int upgrade_write(const struct upgrade_state *state)
{
	int fd = memfd_create("popgate-upgrade", MFD_CLOEXEC);
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *out = copy < 0 ? NULL : fdopen(copy, "w");
	bool written = false;
	if (out) {
		write_state(out, state);
		written = !ferror(out);
		written = fclose(out) == 0 && written;
	}
	if (written)
		return fd;
	int why = errno;
	if (!out && copy >= 0)
		close(copy);
	if (fd >= 0)
		close(fd);
	errno = why;
	return -1;
}

// Executing.

static bool keep_open(int fd, bool keep)
{
	return fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC) == 0;
}

static void keep_all_open(const struct generations *generations, bool keep)
{
	keep_open(limits_fd(generations->limits), keep);
	keep_open(ledger_fd(generations->ledger), keep);
	keep_open(host_answers_fd(generations->host_answers), keep);
	keep_open(tickets_fd(generations->tickets), keep);
	keep_open(metrics_fd(generations->metrics), keep);
	if (generations->metrics_socket.is_open)
		keep_open(generations->metrics_socket.fd, keep);
	for (const struct bound *b = generations->sockets.bounds; b; b = b->next)
		for (size_t i = 0; i < b->num_fds; i++)
			keep_open(b->fds[i], keep);
	for (const struct generation *g = generations->newest; g; g = g->next) {
		for (size_t i = 0; i < g->num_workers; i++)
			if (g->workers[i].channel >= 0)
				keep_open(g->workers[i].channel, keep);
		if (g->keys && g->keys->channel >= 0)
			keep_open(g->keys->channel, keep);
	}
	for (const struct helper_process *h = generations->helpers.first; h; h = h->next)
		if (h->end >= 0)
			keep_open(h->end, keep);
}

void upgrade_exec(
    const char *binary, char **argv, const struct upgrade_state *state, struct text *why)
{
	char number[16];
	int fd = upgrade_write(state);
	if (fd < 0) {
		text_addf(why, "cannot write down the state: %s", strerror(errno));
		return;
	}
	snprintf(number, sizeof(number), "%d", fd);
	setenv(variable, number, true);
	keep_open(fd, true);
	keep_all_open(state->generations, true);
	execv(binary, argv);
	text_addf(why, "cannot execute %s: %s", binary, strerror(errno));
	keep_all_open(state->generations, false);
	unsetenv(variable);
	close(fd);
}

int upgrade_inherited(void)
{
	const char *value = getenv(variable);
	uint64_t fd;
	if (!value)
		return -1;
	// Not a number is no descriptor either, and upgrade_read says so.
	if (!str_to_u64(str_of(value), &fd) || fd > INT_MAX)
		fd = INT_MAX;
	unsetenv(variable);
	return (int)fd;
}

// Reading.

struct reader {
	struct generations *generations;
	uint64_t *drain_timeout_ms;
	struct bound *bound;
	struct generation *generation;
	bool same_version;
	bool at_end;
};

static bool read_unsigned(struct str s, uint64_t most, uint64_t *out)
{
	return str_to_u64(s, out) && *out <= most;
}

// A descriptor must be open, and is closed by the next execv again.
static bool read_fd(struct str s, int *out_fd)
{
	uint64_t fd;
	if (!read_unsigned(s, INT_MAX, &fd) || !keep_open((int)fd, false))
		return false;
	*out_fd = (int)fd;
	return true;
}

static bool read_version(struct reader *reader, const struct str *fields)
{
	uint64_t version;
	if (!read_unsigned(fields[0], UINT32_MAX, &version))
		return false;
	reader->same_version = version == VERSION;
	return true;
}

static bool read_drain_timeout(struct reader *reader, const struct str *fields)
{
	return str_to_u64(fields[0], reader->drain_timeout_ms);
}

static bool read_log(struct reader *reader, const struct str *fields)
{
	char room[256];
	struct text why = TEXT(room);
	uint64_t format, level;
	(void)reader;
	if (!read_unsigned(fields[0], LOG_FORMAT_json, &format) ||
	    !read_unsigned(fields[1], LOG_LEVEL_debug, &level))
		return false;
	// The configuration will be read soon and name the target again.
	if (!log_open(fields[2], (enum log_format)format, (enum log_level)level, &why))
		log_why(LOG_log_not_opened, "%s", room);
	return true;
}

static bool read_limits(struct reader *reader, const struct str *fields)
{
	int fd;
	if (!read_fd(fields[0], &fd) || reader->generations->limits)
		return false;
	reader->generations->limits = limits_open(fd);
	if (!reader->generations->limits)
		close(fd);
	return true;
}

static bool read_ledger(struct reader *reader, const struct str *fields)
{
	int fd;
	if (!read_fd(fields[0], &fd) || reader->generations->ledger)
		return false;
	reader->generations->ledger = ledger_open(fd);
	if (!reader->generations->ledger)
		close(fd);
	return true;
}

static bool read_host_answers(struct reader *reader, const struct str *fields)
{
	int fd;
	if (!read_fd(fields[0], &fd) || reader->generations->host_answers)
		return false;
	reader->generations->host_answers = host_answers_open(fd);
	if (!reader->generations->host_answers)
		close(fd);
	return true;
}

static bool read_tickets(struct reader *reader, const struct str *fields)
{
	int fd;
	if (!read_fd(fields[0], &fd) || reader->generations->tickets)
		return false;
	reader->generations->tickets = tickets_open(fd);
	if (!reader->generations->tickets)
		close(fd);
	return true;
}

static bool read_metrics(struct reader *reader, const struct str *fields)
{
	int fd;
	if (!read_fd(fields[0], &fd) || reader->generations->metrics)
		return false;
	reader->generations->metrics = metrics_open(fd, session_metric_label);
	if (!reader->generations->metrics)
		close(fd);
	return true;
}

static bool read_metrics_socket(struct reader *reader, const struct str *fields)
{
	struct metrics_socket *socket = &reader->generations->metrics_socket;
	uint64_t pid, uid, gid;
	if (socket->is_open || !addr_parse(fields[1], 0, &socket->wanted) ||
	    !read_unsigned(fields[2], INT_MAX, &pid) ||
	    !read_unsigned(fields[3], UINT32_MAX, &uid) ||
	    !read_unsigned(fields[4], UINT32_MAX, &gid) || !read_fd(fields[0], &socket->fd))
		return false;
	socket->is_open = true;
	socket->former = (pid_t)pid;
	socket->identity =
	    (struct sandbox_identity){.change = uid != 0, .uid = (uid_t)uid, .gid = (gid_t)gid};
	return true;
}

static bool read_last_generation(struct reader *reader, const struct str *fields)
{
	uint64_t number;
	if (!read_unsigned(fields[0], UINT32_MAX, &number))
		return false;
	reader->generations->last_number = (unsigned)number;
	return true;
}

static bool read_bound(struct reader *reader, const struct str *fields)
{
	struct addr wanted, actual;
	if (!addr_parse(fields[0], 0, &wanted) || !addr_parse(fields[1], 0, &actual))
		return false;
	reader->bound =
	    sockets_adopt_bound(&reader->generations->sockets, &wanted, &actual, fields[2]);
	reader->bound->announced = true;
	return true;
}

static bool read_socket(struct reader *reader, const struct str *fields)
{
	int fd;
	if (!reader->bound || !read_fd(fields[0], &fd))
		return false;
	sockets_adopt_fd(reader->bound, fd);
	return true;
}

static bool read_state_name(struct str name, enum generation_state *out)
{
	for (unsigned i = 0; i < GENERATION_STATES; i++)
		if (str_eq(name, str_of(state_names[i]))) {
			*out = (enum generation_state)i;
			return true;
		}
	return false;
}

static bool read_generation(struct reader *reader, const struct str *fields)
{
	uint64_t number, deadline_ms = CLOCK_NEVER;
	enum generation_state state;
	if (!read_unsigned(fields[0], UINT32_MAX, &number) || !read_state_name(fields[1], &state))
		return false;
	if (!str_eq(fields[2], STR("-")) && !str_to_u64(fields[2], &deadline_ms))
		return false;
	reader->generation = generation_new(reader->generations);
	reader->generation->number = (unsigned)number;
	reader->generation->state = state;
	reader->generation->deadline_ms = deadline_ms;
	return true;
}

static bool read_worker(struct reader *reader, const struct str *fields)
{
	uint64_t pid, id, ready, started_ms;
	int channel = -1;
	if (!reader->generation || !read_unsigned(fields[0], INT_MAX, &pid) || pid == 0 ||
	    !read_unsigned(fields[1], LIMITS_WORKERS - 1, &id) ||
	    !read_unsigned(fields[3], 1, &ready) || !str_to_u64(fields[4], &started_ms))
		return false;
	if (!str_eq(fields[2], STR("-")) && !read_fd(fields[2], &channel))
		return false;
	*generation_add_worker(reader->generation) = (struct worker_process){
	    .pid = (pid_t)pid,
	    .id = (unsigned)id,
	    .channel = channel,
	    .is_ready = ready,
	    .started_ms = started_ms,
	};
	return true;
}

static bool read_keys(struct reader *reader, const struct str *fields)
{
	uint64_t pid, started_ms;
	int channel = -1;
	if (!reader->generation || reader->generation->keys ||
	    !read_unsigned(fields[0], INT_MAX, &pid) || pid == 0 ||
	    !str_to_u64(fields[2], &started_ms))
		return false;
	if (!str_eq(fields[1], STR("-")) && !read_fd(fields[1], &channel))
		return false;
	reader->generation->keys = keys_process_adopt((pid_t)pid, channel, started_ms);
	return true;
}

static bool read_helper(struct reader *reader, const struct str *fields)
{
	uint64_t pid, worker, started_ms;
	int end;
	if (!read_unsigned(fields[0], INT_MAX, &pid) || pid == 0 || !read_fd(fields[1], &end) ||
	    !read_unsigned(fields[2], INT_MAX, &worker) || !str_to_u64(fields[3], &started_ms))
		return false;
	helpers_adopt(&reader->generations->helpers,
	    &(struct helper_process){
	        .pid = (pid_t)pid, .end = end, .worker = (pid_t)worker, .started_ms = started_ms});
	return true;
}

static bool read_end(struct reader *reader, const struct str *fields)
{
	(void)fields;
	reader->at_end = true;
	return true;
}

static const struct line_kind {
	const char *word;
	size_t num_fields;
	bool ends_in_name; // the last field has the rest of the line, spaces included
	bool (*read)(struct reader *reader, const struct str *fields);
} line_kinds[] = {
    {"popgate-state", 1, false, read_version},
    {"drain-timeout", 1, false, read_drain_timeout},
    {"log", 3, true, read_log},
    {"limits", 1, false, read_limits},
    {"ledger", 1, false, read_ledger},
    {"host-answers", 1, false, read_host_answers},
    {"tickets", 1, false, read_tickets},
    {"metrics", 1, false, read_metrics},
    {"metrics-socket", 5, false, read_metrics_socket},
    {"last-generation", 1, false, read_last_generation},
    {"bound", 3, true, read_bound},
    {"socket", 1, false, read_socket},
    {"generation", 3, false, read_generation},
    {"keys", 3, false, read_keys},
    {"worker", 5, false, read_worker},
    {"helper", 4, false, read_helper},
    {"end", 0, false, read_end},
};

static const struct line_kind *find_kind(struct str word)
{
	for (size_t i = 0; i < sizeof(line_kinds) / sizeof(line_kinds[0]); i++)
		if (str_eq(word, str_of(line_kinds[i].word)))
			return &line_kinds[i];
	return NULL;
}

// Cuts a line as its kind wants it.  Only another version may have more fields
// than we know, behind ours.
static bool cut_fields(const struct reader *reader, const struct line_kind *kind, struct str rest,
    struct str fields[FIELDS_MAX])
{
	for (size_t i = 0; i < kind->num_fields; i++) {
		if (str_is_empty(rest))
			return false;
		bool is_name = kind->ends_in_name && i + 1 == kind->num_fields;
		str_cut(rest, is_name ? '\n' : ' ', &fields[i], &rest);
	}
	return str_is_empty(rest) || !reader->same_version;
}

static bool read_line(struct reader *reader, struct str line)
{
	struct str word, rest, fields[FIELDS_MAX];
	str_cut(line, ' ', &word, &rest);
	const struct line_kind *kind = find_kind(word);
	if (reader->at_end)
		return false;
	if (!kind)
		return !reader->same_version;
	return cut_fields(reader, kind, rest, fields) && kind->read(reader, fields);
}

static bool read_lines(struct reader *reader, struct str text, struct text *why)
{
	struct str line, rest = text;
	unsigned number = 0;
	if (!str_starts_nocase(text, STR("popgate-state "))) {
		text_addf(why, "it does not begin as a state");
		return false;
	}
	while (!str_is_empty(rest)) {
		bool whole = str_cut(rest, '\n', &line, &rest);
		number++;
		if (!whole || !read_line(reader, line)) {
			text_addf(why, "line %u cannot be understood: %.*s", number, STR_ARG(line));
			return false;
		}
	}
	if (!reader->at_end)
		text_addf(why, "its end is missing");
	return reader->at_end;
}

// generation_new puts each in front: they came newest first.
static void reverse(struct generations *generations)
{
	struct generation *reversed = NULL;
	while (generations->newest) {
		struct generation *g = generations->newest;
		generations->newest = g->next;
		g->next = reversed;
		reversed = g;
	}
	generations->newest = reversed;
}

// Whoever served goes on, with all sockets there are.
static void take_over(struct generations *generations)
{
	struct generation *serving = generation_in(generations, GENERATION_serving);
	if (serving)
		serving->plan = sockets_plan_all(&generations->sockets);
}

static char *read_all(int fd, size_t *out_len)
{
	off_t size = lseek(fd, 0, SEEK_END);
	if (size < 0 || size > 1 << 20)
		return NULL;
	char *text = xmalloc((size_t)size + 1);
	ssize_t n = pread(fd, text, (size_t)size, 0);
	*out_len = n > 0 ? (size_t)n : 0;
	return text;
}

bool upgrade_read(
    int fd, struct generations *out_generations, uint64_t *out_drain_timeout_ms, struct text *why)
{
	struct reader reader = {
	    .generations = out_generations,
	    .drain_timeout_ms = out_drain_timeout_ms,
	    .same_version = true,
	};
	size_t len = 0;
	char *text = read_all(fd, &len);
	if (!text) {
		text_addf(why, "%s names no state", variable);
		return false;
	}
	bool read = read_lines(&reader, (struct str){text, len}, why);
	free(text);
	close(fd);
	reverse(out_generations);
	take_over(out_generations);
	return read;
}
