// worker.c: a worker's life.  See worker.h.
//
// It reads like a recipe: give up root, open the loop, take the sockets, give up
// all other system calls, say ready, serve, drain.  A worker never changes its
// configuration; a reload starts others and drains this one.  Only tables of
// addresses, certificates and what clients' certificates are judged by are replaced in
// place.
#include "proxy/server/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "backends/verify/winbind.h"
#include "certs/parcel.h"
#include "policy/names.h"
#include "policy/tables.h"
#include "proxy/base/die.h"
#include "proxy/net/listen.h"
#include "proxy/net/signer.h"
#include "proxy/net/tls.h"
#include "proxy/net/watch.h"
#include "proxy/server/channel.h"
#include "proxy/server/filter.h"
#include "proxy/server/helpers.h"
#include "proxy/server/sandbox.h"
#include "proxy/session/session.h"

enum {
	COMPLAINT_MS = 10 * 1000, // between two lines about failing accepts
	LARGE = 32 * 1024,        // a block of memory that is worth giving back
	CROWD = 128,              // sessions whose memory is
};

struct worker {
	const struct worker_start *start;
	struct net net;
	struct sessions sessions;
	size_t most; // of them, since memory was given back
	struct names names;
	struct winbind *winbind; // NULL: no listener asks winbind
	struct watch channel;
	struct listen *listens; // one for each socket
	bool draining;
	uint64_t complained;
};

// A process is one worker, so there is one.
static struct worker worker;

static void on_accepted(struct listen *listen, int fd, const struct addr *peer)
{
	const struct worker_socket *socket = listen->context;
	session_start(&worker.sessions, fd, peer, socket->listener);
}

static void on_accept_failed(struct listen *listen)
{
	int error = errno;
	uint64_t now = net_now(listen->net);
	if (worker.complained && now - worker.complained < COMPLAINT_MS)
		return;
	worker.complained = now;
	log_why(LOG_accept_failed, "%s%s", strerror(error),
	    error == EMFILE ? "; raise the limit of open files (LimitNOFILE= or ulimit -n)" : "");
}

// Looking up names would go on for ever, and helpers wait for questions; nobody will
// ask for them any more.
static void close_sources(struct sessions *sessions)
{
	if (!worker.draining || sessions_num(sessions))
		return;
	names_close(&worker.names);
	if (worker.winbind)
		winbind_close(worker.winbind);
}

static void drain(void)
{
	if (worker.draining)
		return;
	for (size_t i = 0; i < worker.start->num_sockets; i++)
		listen_close(&worker.listens[i]);
	worker.draining = true;
	close_sources(&worker.sessions);
}

static void take_table(int fd)
{
	char room[256];
	struct text why = TEXT(room);
	if (!tables_take(worker.start->snapshot->rulebook.tables, fd, &why))
		log_why(LOG_table_refused, "worker: %s", room);
}

static void take_certificate(int fd)
{
	char room[256];
	struct text why = TEXT(room);
	struct snapshot *snapshot = worker.start->snapshot;
	uint32_t index;
	struct tls_certificate *certificate = parcel_open(fd, snapshot->signer, &index, &why);
	if (!certificate)
		log_why(LOG_certificate_refused, "worker: %s", room);
	else if (index < snapshot->config->num_certificates && snapshot->certificates[index])
		snapshot_replace_certificate(snapshot, index, certificate);
	else
		tls_certificate_free(&certificate);
}

static void take_client_trust(int fd)
{
	char room[512];
	struct text why = TEXT(room);
	if (!snapshot_take_client_trust(worker.start->snapshot, fd, &why))
		log_why(LOG_client_trust_refused, "worker: %s", room);
}

static void take_helper(int fd)
{
	if (worker.winbind)
		winbind_add_helper(worker.winbind, fd);
	else if (fd >= 0)
		close(fd);
}

// Of a worker that has the keys itself, nobody knows such a socket.
static void take_signer(int fd)
{
	struct signer *signer = worker.start->snapshot->signer;
	if (signer && fd >= 0)
		signer_use(signer, fd);
	else if (fd >= 0)
		close(fd);
}

static void obey(enum channel_message message, int fd)
{
	switch (message) {
	case CHANNEL_table: take_table(fd); return;
	case CHANNEL_certificate: take_certificate(fd); return;
	case CHANNEL_client_trust: take_client_trust(fd); return;
	case CHANNEL_helper: take_helper(fd); return;
	case CHANNEL_signer: take_signer(fd); return;
	case CHANNEL_end:
		drain();
		sessions_end(&worker.sessions);
		return;
	case CHANNEL_drain: drain(); return;
	case CHANNEL_helper_wanted:
	case CHANNEL_signer_wanted:
	case CHANNEL_users_wanted:
	case CHANNEL_ready: return; // ours, never theirs
	}
}

// The end of the supervisor is as good as an order to drain.
static void on_channel(struct watch *watch)
{
	enum channel_message message;
	int fd;
	switch (channel_receive(worker.start->channel, &message, &fd)) {
	case CHANNEL_RECEIVED: obey(message, fd); return;
	case CHANNEL_EMPTY: return;
	case CHANNEL_GONE:
		watch_close(watch);
		drain();
		return;
	}
}

// What is logged waits for the loop, which will not run.
static _Noreturn void give_up(const char *why)
{
	log_why(LOG_start_failed, "worker: %s", why);
	log_flush();
	exit(EXIT_FAILURE);
}

static _Noreturn void fail(const char *what)
{
	char room[256];
	struct text why = TEXT(room);
	text_addf(&why, "cannot %s: %s", what, strerror(errno));
	give_up(room);
}

static void open_sockets(void)
{
	const struct worker_start *start = worker.start;
	worker.listens = xcalloc(start->num_sockets, sizeof(*worker.listens));
	for (size_t i = 0; i < start->num_sockets; i++) {
		struct listen *listen = &worker.listens[i];
		listen->on_accepted = on_accepted;
		listen->on_failed = on_accept_failed;
		listen->context = (void *)&start->sockets[i];
		if (!listen_open(listen, &worker.net, start->sockets[i].fd))
			fail("watch a listening socket");
	}
}

// Small blocks are scattered, and one that is left keeps its neighbours' pages. So when
// a crowd has gone, whatever is free goes back; this takes a millisecond for some 10 MiB.
static void give_crowd_back(void)
{
	size_t num = sessions_num(&worker.sessions);
	if (num > worker.most)
		worker.most = num;
	if (worker.most < CROWD || num > worker.most / 2)
		return;
	malloc_trim(0);
	worker.most = num;
}

static void before_sleep(void)
{
	log_flush();
	give_crowd_back();
}

static void open_loop(void)
{
	net_init(&worker.net);
	worker.net.before_sleep = before_sleep;
	worker.sessions = (struct sessions){
	    .net = &worker.net,
	    .snapshot = worker.start->snapshot,
	    .limits = worker.start->limits,
	    .ledger = worker.start->ledger,
	    .on_last_ended = close_sources,
	    .verify = {.net = &worker.net},
	};
	uint64_t *id = &worker.sessions.next_id;
	if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
		fail("draw a random number");
	worker.channel.on_readable = on_channel;
	if (!watch_open(&worker.channel, &worker.net, worker.start->channel))
		fail("watch the channel");
}

static void open_names(void)
{
	const struct worker_start *start = worker.start;
	char room[256];
	struct text why = TEXT(room);
	if (!names_open(&worker.names, &worker.net, start->snapshot->config,
	        &start->snapshot->rulebook, start->host_answers, start->num_workers, &why))
		give_up(room);
	worker.sessions.sources = names_sources(&worker.names);
}

// Once users.db is open the key as it is in the file is needed no more; those of other
// generations are wiped already (generation.c).  What it was made into for the cipher
// stays, since look-ups need it.
// Where users.db is gone, clients of a worker that has died shall not wait for one
// that cannot start; another users.db brings another generation (users_watch.h).
static void open_users(void)
{
	struct snapshot *snapshot = worker.start->snapshot;
	char room[512];
	struct text why = TEXT(room);
	struct verify_sources *sources = &worker.sessions.verify;
	if (!snapshot->has_users)
		return;
	sources->users = users_open(snapshot->config->users.database, snapshot->users_key, &why);
	explicit_bzero(snapshot->users_key, sizeof(snapshot->users_key));
	if (sources->users)
		return;
	if (!worker.start->is_replacement)
		give_up(room);
	log_why(LOG_users_unusable, "%s", room);
	channel_send(worker.start->channel, CHANNEL_users_wanted);
}

static void share_tickets(void)
{
	enum { MS_PER_S = 1000 };
	const struct snapshot *snapshot = worker.start->snapshot;
	uint64_t lifetime_ms = snapshot->config->site.ticket_lifetime;
	for (size_t i = 0; i < snapshot->config->num_listeners; i++)
		if (snapshot->servers[i])
			tls_server_share_tickets(snapshot->servers[i], worker.start->tickets,
			    (uint32_t)(lifetime_ms / MS_PER_S));
}

static void want_helper(void *context)
{
	(void)context;
	channel_send(worker.start->channel, CHANNEL_helper_wanted);
}

static void want_signer(void *context)
{
	(void)context;
	channel_send(worker.start->channel, CHANNEL_signer_wanted);
}

static void open_signer(void)
{
	struct signer *signer = worker.start->snapshot->signer;
	if (!signer)
		return;
	signer_open(signer, &worker.net, want_signer, NULL);
	take_signer(worker.start->signer);
}

static void open_winbind(void)
{
	const struct config *config = worker.start->snapshot->config;
	if (!helpers_are_wanted(config))
		return;
	worker.winbind = winbind_open(&worker.net, &(struct winbind_settings){
	                                               .helpers = config->winbind.helpers,
	                                               .timeout_ms = config->winbind.timeout,
	                                               .domain = str_of(config->winbind.domain),
	                                               .want_helper = want_helper,
	                                           });
	worker.sessions.verify.winbind = worker.winbind;
}

// Queues for slow clients are large and short-lived.  From pages of their own
// they go back to the system at once; left alone, malloc would raise that
// threshold when it sees them freed and keep their memory from then on.
static void give_memory_back(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE);
	mallopt(M_TRIM_THRESHOLD, 2 * LARGE);
}

static void close_off(void)
{
	char room[256];
	struct text why = TEXT(room);
	if (!filter_enter(FILTER_worker, &why))
		give_up(room);
}

void worker_run(const struct worker_start *start)
{
	worker.start = start;
	sandbox_enter(&start->identity);
	give_memory_back();
	limits_be_worker(start->limits, start->id);
	log_set_buffered(true);
	open_loop();
	open_names();
	open_users();
	open_winbind();
	open_signer();
	share_tickets();
	open_sockets();
	close_off();
	channel_send(start->channel, CHANNEL_ready);
	net_run(&worker.net); // until it is drained: nothing is left on the loop
	watch_close(&worker.channel);
	if (start->snapshot->signer)
		signer_close(start->snapshot->signer);
	net_done(&worker.net);
	winbind_free(&worker.winbind);
	users_close(&worker.sessions.verify.users);
	free(worker.listens);
	log_flush();
	exit(EXIT_SUCCESS);
}
