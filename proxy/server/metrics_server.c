// metrics_server.c: libmicrohttpd between our poll(2) and two texts.  See metrics_server.h.
//
// The library does not wait and has no thread: it is run when its epoll descriptor says
// so.  Its own timeout starts anew with each byte, so ours is beside it: a connection
// that is too old, or one too many, is shut down, and the library sees its end.
//
// A scrape that is under way when the supervisor changes to another process is finished.
#include "proxy/server/metrics_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <microhttpd.h>

#include "proxy/base/die.h"
#include "proxy/base/exposition.h"
#include "proxy/base/library.h"
#include "proxy/server/clock.h"
#include "proxy/server/descriptor.h"
#include "proxy/server/filter.h"
#include "proxy/server/sandbox.h"
#include "proxy/session/session_metrics.h"

#define LIBRARY "libmicrohttpd.so.12"
#define PATH "/metrics"

enum {
	CONNECTIONS = 32,
	CONNECTIONS_ROOM = 2 * CONNECTIONS, // those that were shut down need a moment
	CONNECTION_MS = 10 * 1000,
	CONNECTION_BYTES = 16 * 1024,
	BACKLOG = 64,
	FACTS_MS = 1000,
	END_MS = 2 * 1000,
	MS_PER_S = 1000,
};

struct connection {
	bool is_open;
	bool is_over; // shut down
	int fd;
	uint64_t end_ms;
};

// A process has one of each.
static struct {
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_quiesce_daemon) *quiesce_daemon;
	__typeof__(MHD_get_daemon_info) *get_daemon_info;
	__typeof__(MHD_get_connection_info) *get_connection_info;
	__typeof__(MHD_get_timeout) *get_timeout;
	__typeof__(MHD_run) *run;
	__typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_destroy_response) *destroy_response;
} mhd; // what of the library is used
static struct metrics *metrics;
static const char *version;
static struct str facts; // on the heap
static struct connection connections[CONNECTIONS_ROOM];
static size_t num_connections;

// ---- connections --------------------------------------------------------

static void shut(struct connection *connection)
{
	shutdown(connection->fd, SHUT_RDWR);
	connection->is_over = true;
}

static bool is_older(const struct connection *a, const struct connection *b)
{
	return !b || a->end_ms < b->end_ms;
}

// Of those that go on; NULL: there is none.
static struct connection *oldest(size_t *out_num)
{
	struct connection *found = NULL;
	*out_num = 0;
	for (size_t i = 0; i < CONNECTIONS_ROOM; i++) {
		struct connection *each = &connections[i];
		if (!each->is_open || each->is_over)
			continue;
		++*out_num;
		if (is_older(each, found))
			found = each;
	}
	return found;
}

static void begin(struct connection *connection, struct MHD_Connection *handle)
{
	const union MHD_ConnectionInfo *info =
	    mhd.get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
	size_t num;
	struct connection *first = oldest(&num);
	if (num >= CONNECTIONS)
		shut(first);
	*connection = (struct connection){
	    .is_open = true, .fd = info->connect_fd, .end_ms = clock_ms() + CONNECTION_MS};
	num_connections++;
}

static void on_connection(void *context, struct MHD_Connection *handle, void **out_ours,
    enum MHD_ConnectionNotificationCode what)
{
	(void)context;
	struct connection *connection = *out_ours;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (connection)
			connection->is_open = false;
		num_connections -= connection != NULL;
		return;
	}
	for (size_t i = 0; i < CONNECTIONS_ROOM; i++)
		if (!connections[i].is_open) {
			*out_ours = &connections[i];
			begin(&connections[i], handle);
			return;
		}
}

// When the next one will be too old.
static uint64_t end_late(uint64_t now_ms)
{
	struct connection *first;
	size_t num;
	while ((first = oldest(&num)) && first->end_ms <= now_ms)
		shut(first);
	return first ? first->end_ms : CLOCK_NEVER;
}

// ---- answers ------------------------------------------------------------

static void print_own_facts(FILE *out)
{
	exposition_begin(&fact_families[FACT_info], out);
	exposition_sample(&fact_families[FACT_info], str_of(version), 1, out);
	exposition_begin(&fact_families[FACT_start_time_seconds], out);
	exposition_sample(
	    &fact_families[FACT_start_time_seconds], STR(""), metrics_began(metrics), out);
}

// On the heap; nothing there when memory is out.
static struct str everything(void)
{
	char *at = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&at, &len);
	if (!out)
		return STR("");
	print_own_facts(out);
	metrics_print(metrics, session_metric_label, out);
	if (facts.len)
		fwrite(facts.at, 1, facts.len, out);
	if (fclose(out) == 0)
		return (struct str){at, len};
	free(at);
	return STR("");
}

static enum MHD_Result send_response(struct MHD_Connection *handle, unsigned status,
    struct MHD_Response *response, const char *header, const char *value)
{
	if (!response)
		return MHD_NO;
	mhd.add_response_header(response, header, value);
	mhd.add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	enum MHD_Result result = mhd.queue_response(handle, status, response);
	mhd.destroy_response(response);
	return result;
}

static enum MHD_Result refuse(
    struct MHD_Connection *handle, unsigned status, const char *header, const char *value)
{
	struct str text = status == MHD_HTTP_NOT_FOUND
	                      ? STR("There is nothing here; ask for " PATH ".\n")
	                      : STR("Only GET and HEAD are answered.\n");
	return send_response(handle, status,
	    mhd.create_response_from_buffer(text.len, (void *)text.at, MHD_RESPMEM_PERSISTENT),
	    header, value);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *handle, const char *path,
    const char *method, const char *http_version, const char *body, size_t *body_len, void **ours)
{
	(void)context, (void)http_version, (void)body, (void)body_len, (void)ours;
	if (strcmp(path, PATH) != 0)
		return refuse(
		    handle, MHD_HTTP_NOT_FOUND, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(
		    handle, MHD_HTTP_METHOD_NOT_ALLOWED, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	struct str all = everything();
	return send_response(handle, all.len ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR,
	    mhd.create_response_from_buffer(
	        all.len, (void *)all.at, all.len ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT),
	    MHD_HTTP_HEADER_CONTENT_TYPE, EXPOSITION_TYPE);
}

// ---- what the supervisor says -------------------------------------------

static void take_facts(int fd)
{
	struct stat stat;
	if (fstat(fd, &stat) < 0)
		return;
	size_t len = (size_t)stat.st_size;
	char *at = xmalloc(len + 1);
	if (pread(fd, at, len, 0) != (ssize_t)len) {
		free(at);
		return;
	}
	free((char *)facts.at);
	facts = (struct str){at, len};
}

// False when it is gone.
static bool listen_to_supervisor(void)
{
	char what;
	int fd;
	ssize_t n;
	while ((n = descriptor_receive(METRICS_CHANNEL, &what, 1, &fd)) > 0) {
		if (fd < 0)
			continue;
		take_facts(fd);
		close(fd);
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

// They come at once, unless nothing serves any more; who asks shall not see them missing.
static void wait_for_facts(void)
{
	struct pollfd fd = {METRICS_CHANNEL, POLLIN, 0};
	(void)poll(&fd, 1, FACTS_MS);
	(void)listen_to_supervisor();
}

// ---- the recipe ---------------------------------------------------------

static bool load(struct text *why)
{
	const struct library_function functions[] = {
	    LIBRARY_FUNCTION(MHD_start_daemon, mhd.start_daemon),
	    LIBRARY_FUNCTION(MHD_quiesce_daemon, mhd.quiesce_daemon),
	    LIBRARY_FUNCTION(MHD_get_daemon_info, mhd.get_daemon_info),
	    LIBRARY_FUNCTION(MHD_get_connection_info, mhd.get_connection_info),
	    LIBRARY_FUNCTION(MHD_get_timeout, mhd.get_timeout),
	    LIBRARY_FUNCTION(MHD_run, mhd.run),
	    LIBRARY_FUNCTION(MHD_create_response_from_buffer, mhd.create_response_from_buffer),
	    LIBRARY_FUNCTION(MHD_add_response_header, mhd.add_response_header),
	    LIBRARY_FUNCTION(MHD_queue_response, mhd.queue_response),
	    LIBRARY_FUNCTION(MHD_destroy_response, mhd.destroy_response),
	};
	return library_load(
	    LIBRARY, "libmicrohttpd12", functions, sizeof(functions) / sizeof(functions[0]), why);
}

static bool open_pages(struct text *why)
{
	metrics = metrics_read(METRICS_PAGES, session_metric_label);
	if (!metrics)
		text_addf(why, "cannot map the shared pages: %s", strerror(errno));
	return metrics;
}

// NULL with the reason in *why.
static struct MHD_Daemon *start(struct text *why)
{
	if (listen(METRICS_SOCKET, BACKLOG) < 0) {
		text_addf(why, "cannot listen: %s", strerror(errno));
		return NULL;
	}
	struct MHD_Daemon *daemon = mhd.start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, NULL,
	    MHD_OPTION_LISTEN_SOCKET, METRICS_SOCKET, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)CONNECTIONS_ROOM, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)(CONNECTION_MS / MS_PER_S), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
	    MHD_OPTION_END);
	if (!daemon)
		text_addf(why, "%s does not start", LIBRARY);
	return daemon;
}

static void say(char what, struct str more)
{
	char packet[512] = {what};
	struct str said = str_take(more, sizeof(packet) - 1);
	memcpy(packet + 1, said.at, said.len);
	(void)!send(METRICS_CHANNEL, packet, 1 + said.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int timeout_of(struct MHD_Daemon *daemon, uint64_t end_ms, uint64_t now_ms)
{
	MHD_UNSIGNED_LONG_LONG library_ms;
	uint64_t left_ms = end_ms == CLOCK_NEVER ? CLOCK_NEVER
	                   : end_ms > now_ms     ? end_ms - now_ms
	                                         : 0;
	if (mhd.get_timeout(daemon, &library_ms) == MHD_YES)
		left_ms = clock_earlier(left_ms, library_ms);
	return left_ms == CLOCK_NEVER ? -1 : (int)clock_earlier(left_ms, CONNECTION_MS);
}

// The end of the process frees what there is.
static void serve(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = mhd.get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd fds[] = {{info->epoll_fd, POLLIN, 0}, {METRICS_CHANNEL, POLLIN, 0}};
	uint64_t end_ms = CLOCK_NEVER;
	while (end_ms == CLOCK_NEVER || (num_connections && clock_ms() < end_ms)) {
		uint64_t now_ms = clock_ms();
		uint64_t due_ms = clock_earlier(end_late(now_ms), end_ms);
		(void)poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_of(daemon, due_ms, now_ms));
		if (fds[1].revents && !listen_to_supervisor()) {
			fds[1].fd = -1;
			end_ms = now_ms + END_MS;
			close(mhd.quiesce_daemon(daemon)); // who asks now is the next one's
		}
		mhd.run(daemon);
	}
}

int metrics_server_run(const char *own_version)
{
	static const struct sandbox_identity as_it_is;
	char room[512];
	struct text why = TEXT(room);
	struct MHD_Daemon *daemon = NULL;
	version = own_version;
	prctl(PR_SET_NAME, METRICS_NAME, 0, 0, 0);
	sandbox_enter(&as_it_is); // what execve(2) has undone of it
	if (load(&why) && open_pages(&why) && (daemon = start(&why)) &&
	    filter_enter(FILTER_metrics, &why)) {
		wait_for_facts();
		say(METRICS_READY, STR(""));
		serve(daemon);
		_exit(EXIT_SUCCESS);
	}
	say(METRICS_WHY, text_str(&why));
	_exit(EXIT_FAILURE);
}
