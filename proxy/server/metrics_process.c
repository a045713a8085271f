// metrics_process.c: from an address in the configuration to somebody who answers there.
// See metrics_process.h.
#include "proxy/server/metrics_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/base/exit_status.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/server/clock.h"
#include "proxy/server/descriptor.h"
#include "proxy/server/metrics_facts.h"
#include "proxy/server/metrics_server.h"

enum {
	FACTS_MS = 2 * 1000,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 60 * 1000,
	SETTLED_MS = 10 * 1000, // one that lived so long was no failed start
	END_MS = 5 * 1000,      // from the end of its channel to SIGKILL
	FILES = 128,
};

// A sanitizer's own memory has addresses without end.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const rlim_t room_bytes = RLIM_INFINITY;
#else
static const rlim_t room_bytes = 1024 * 1024 * 1024;
#endif

void metrics_process_init(struct metrics_process *process)
{
	*process = (struct metrics_process){
	    .channel = -1, .ear = -1, .restart_ms = CLOCK_NEVER, .kill_ms = CLOCK_NEVER};
}

// ---- the socket ---------------------------------------------------------

static void close_socket(struct metrics_socket *socket)
{
	if (socket->is_open)
		close(socket->fd);
	*socket = (struct metrics_socket){.is_open = false};
}

void metrics_process_withdraw(struct metrics_process *process)
{
	close_socket(&process->candidate);
}

static bool is_wanted(const struct config *config, struct addr *out_wanted)
{
	return addr_parse(str_of(config->metrics.listen), 0, out_wanted);
}

static bool has(const struct metrics_socket *socket, const struct addr *wanted)
{
	return socket->is_open && addr_eq(&socket->wanted, wanted);
}

bool metrics_process_prepare(struct metrics_process *process, const struct generations *generations,
    const struct config *config, struct text *why)
{
	const struct metrics_socket *former = &generations->metrics_socket;
	struct addr wanted;
	metrics_process_withdraw(process);
	if (!is_wanted(config, &wanted) || has(former, &wanted))
		return true;
	int fd =
	    sockets_open_alone(&wanted, former->is_open ? &former->wanted : NULL, "metrics", why);
	if (fd < 0)
		return false;
	process->candidate = (struct metrics_socket){.is_open = true, .fd = fd, .wanted = wanted};
	return true;
}

// ---- the process --------------------------------------------------------

static void limit(int what, rlim_t most)
{
	struct rlimit limit = {most, most};
	// Where less is allowed already, that stays.
	(void)setrlimit(what, &limit);
}

// Two steps, since one of them may have the number of another.
static bool put_descriptors(int socket, int channel, int pages)
{
	const int wanted[] = {socket, channel, pages};
	int copies[METRICS_DESCRIPTORS - METRICS_SOCKET];
	bool good = true;
	for (int i = 0; i < METRICS_DESCRIPTORS - METRICS_SOCKET; i++)
		good &= (copies[i] = fcntl(wanted[i], F_DUPFD, METRICS_DESCRIPTORS)) >= 0;
	for (int i = 0; good && i < METRICS_DESCRIPTORS - METRICS_SOCKET; i++)
		good = dup2(copies[i], METRICS_SOCKET + i) >= 0;
	return good && close_range(METRICS_DESCRIPTORS, ~0U, 0) == 0;
}

static _Noreturn void give_up(int channel, const char *what)
{
	char room[256];
	struct text packet = TEXT(room);
	text_addf(&packet, "%ccannot %s: %s", METRICS_WHY, what, strerror(errno));
	(void)!send(channel, room, packet.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	_exit(EXIT_FAILURE);
}

// Signals stay blocked and ignored as they are here: a terminal's are not for it.
// execve(2) finds the running program, even when an upgrade has replaced the file.
static _Noreturn void become_metrics(const struct generations *generations, int channel)
{
	char name[] = METRICS_NAME;
	char *argv[] = {name, NULL};
	int pages = metrics_reader_fd(generations->metrics);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sandbox_enter(&generations->metrics_socket.identity);
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		dup2(null, i);
	if (!put_descriptors(generations->metrics_socket.fd, channel, pages))
		give_up(channel, "give it its descriptors");
	// Not before: the supervisor may have more, of which copies were made.
	limit(RLIMIT_NOFILE, FILES);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_AS, room_bytes);
	execv("/proc/self/exe", argv);
	give_up(METRICS_CHANNEL, "execute popgate once more, which the user of the workers must be "
	                         "allowed to do");
}

static bool fork_process(
    struct metrics_process *process, const struct generations *generations, struct text *why)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		text_addf(why, "cannot open a channel to it: %s", strerror(errno));
		return false;
	}
	pid_t pid = fork();
	if (pid == 0)
		become_metrics(generations, ends[1]);
	close(ends[1]);
	if (pid > 0) {
		process->pid = pid;
		process->channel = process->ear = ends[0];
		return true;
	}
	text_addf(why, "cannot start a process: %s", strerror(errno));
	close(ends[0]);
	return false;
}

static void forget_facts(struct metrics_process *process)
{
	free((char *)process->facts.at);
	process->facts = (struct str){0};
	process->facts_ms = 0;
}

static void plan_restart(struct metrics_process *process, uint64_t now_ms)
{
	if (now_ms - process->started_ms >= SETTLED_MS)
		process->backoff_ms = 0;
	process->restart_ms = now_ms + process->backoff_ms;
	process->backoff_ms = process->backoff_ms
	                          ? clock_earlier(2 * process->backoff_ms, BACKOFF_MAX_MS)
	                          : BACKOFF_MIN_MS;
}

static void start(
    struct metrics_process *process, const struct generations *generations, uint64_t now_ms)
{
	char room[256];
	struct text why = TEXT(room);
	process->restart_ms = CLOCK_NEVER;
	process->started_ms = now_ms;
	forget_facts(process);
	if (fork_process(process, generations, &why))
		return;
	log_why(LOG_metrics_not_served, "%s", room);
	plan_restart(process, now_ms);
}

static void close_channel(struct metrics_process *process)
{
	if (process->channel >= 0)
		close(process->channel);
	process->channel = process->ear = -1;
}

static void kill_leaving(struct metrics_process *process)
{
	if (process->leaving)
		kill(process->leaving, SIGKILL);
	process->kill_ms = CLOCK_NEVER;
}

static void see_off(struct metrics_process *process, pid_t pid)
{
	kill_leaving(process);
	process->leaving = pid;
	process->kill_ms = clock_ms() + END_MS;
}

void metrics_process_stop(struct metrics_process *process)
{
	process->restart_ms = CLOCK_NEVER;
	if (!process->pid)
		return;
	see_off(process, process->pid);
	process->pid = 0;
	close_channel(process);
}

// Its channel was closed by execv.
void metrics_process_take_over(struct metrics_process *process, pid_t former)
{
	if (former)
		see_off(process, former);
}

// ---- reloads ------------------------------------------------------------

static bool is_same(const struct sandbox_identity *a, const struct sandbox_identity *b)
{
	return a->change == b->change && a->uid == b->uid && a->gid == b->gid;
}

static void replace(struct metrics_process *process)
{
	metrics_process_stop(process);
	process->backoff_ms = 0;
	process->restart_ms = 0;
}

static void tell_exposed(const struct addr *addr)
{
	struct log_line line;
	if (addr_is_loopback(addr))
		return;
	log_begin(&line, LOG_metrics_exposed);
	log_addr(&line, "address", addr);
	log_end(&line);
}

void metrics_process_adopt(struct metrics_process *process, struct generations *generations,
    const struct generation *serving)
{
	struct metrics_socket *socket = &generations->metrics_socket;
	struct addr wanted;
	if (!is_wanted(serving->snapshot->config, &wanted)) {
		metrics_process_stop(process);
		close_socket(socket);
		return;
	}
	bool is_new = !has(socket, &wanted);
	if (is_new) {
		close_socket(socket);
		*socket = process->candidate;
		process->candidate = (struct metrics_socket){.is_open = false};
		tell_exposed(&wanted);
	}
	if (is_new || !process->pid || !is_same(&socket->identity, &serving->identity))
		replace(process);
	socket->identity = serving->identity;
}

void metrics_process_keep(struct metrics_process *process, const struct generations *generations)
{
	if (generations->metrics_socket.is_open && !process->pid &&
	    process->restart_ms == CLOCK_NEVER)
		process->restart_ms = 0;
}

// ---- the channel --------------------------------------------------------

static void log_served(const struct generations *generations)
{
	struct log_line line;
	struct addr actual;
	socklen_t len = sizeof(actual);
	if (getsockname(generations->metrics_socket.fd, &actual.any, &len) < 0)
		return;
	log_begin(&line, LOG_metrics_served);
	log_addr(&line, "address", &actual);
	log_end(&line);
}

// Who ends before it has read the facts resets the channel; its last word stands
// behind that error, which is told once.
static ssize_t receive(int channel, char *packet, size_t size)
{
	ssize_t n = recv(channel, packet, size, MSG_DONTWAIT);
	return n < 0 && errno == ECONNRESET ? recv(channel, packet, size, MSG_DONTWAIT) : n;
}

// One word and no more: who is taken over shall not keep the supervisor busy.
static void hear(struct metrics_process *process, const struct generations *generations)
{
	char packet[512];
	ssize_t n = process->ear >= 0 ? receive(process->ear, packet, sizeof(packet)) : -1;
	if (n >= 0)
		process->ear = -1;
	if (n > 0 && packet[0] == METRICS_READY)
		log_served(generations);
	else if (n > 0)
		log_why(LOG_metrics_not_served, "%.*s", (int)n - 1, packet + 1);
}

static bool send_facts(const struct metrics_process *process, struct str facts)
{
	char what = METRICS_FACTS;
	struct iovec bytes = {&what, 1};
	int fd = memfd_create("popgate-facts", MFD_CLOEXEC);
	bool sent = fd >= 0 && file_write(fd, facts) &&
	            descriptor_send(process->channel, &bytes, 1, fd) == 1;
	if (fd >= 0)
		close(fd);
	return sent;
}

// What it has not taken is sent at the next look.
static void tell_facts(struct metrics_process *process, const struct generation *serving,
    const struct staples *staples)
{
	struct str facts = metrics_facts(serving->snapshot, staples);
	bool is_news = !process->facts.at || !str_eq(facts, process->facts);
	if (is_news && send_facts(process, facts)) {
		free((char *)process->facts.at);
		process->facts = facts;
		return;
	}
	free((char *)facts.at);
}

static void look_at_facts(struct metrics_process *process, const struct generations *generations,
    const struct staples *staples, uint64_t now_ms)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	if (process->channel < 0 || !serving || !serving->snapshot ||
	    (now_ms < process->facts_ms && process->generation == serving->number))
		return;
	process->facts_ms = now_ms + FACTS_MS;
	process->generation = serving->number;
	tell_facts(process, serving, staples);
}

// ---- ends ---------------------------------------------------------------

// Its last word may still be in its channel; one that had none is told by its status.
bool metrics_process_reaped(
    struct metrics_process *process, const struct generations *generations, pid_t pid, int status)
{
	char room[128];
	struct text why = TEXT(room);
	if (pid == process->leaving) {
		process->leaving = 0;
		process->kill_ms = CLOCK_NEVER;
		return true;
	}
	if (pid != process->pid)
		return false;
	hear(process, generations);
	process->pid = 0;
	close_channel(process);
	exit_status_add(&why, status);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_FAILURE)
		log_why(LOG_metrics_ended, "%s", room);
	plan_restart(process, clock_ms());
	return true;
}

// ---- the loop -----------------------------------------------------------

void metrics_process_tick(struct metrics_process *process, const struct generations *generations,
    const struct staples *staples, uint64_t now_ms)
{
	hear(process, generations);
	if (now_ms >= process->restart_ms)
		start(process, generations, now_ms);
	look_at_facts(process, generations, staples, now_ms);
	if (now_ms >= process->kill_ms)
		kill_leaving(process);
}

uint64_t metrics_process_next_due(
    const struct metrics_process *process, const struct generations *generations)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	bool tells = process->channel >= 0 && serving && serving->snapshot;
	uint64_t due_ms = clock_earlier(process->restart_ms, process->kill_ms);
	return tells ? clock_earlier(due_ms, process->facts_ms) : due_ms;
}

void metrics_process_done(struct metrics_process *process)
{
	metrics_process_withdraw(process);
	forget_facts(process);
	close_channel(process);
}
