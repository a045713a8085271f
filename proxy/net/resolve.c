// resolve.c: questions over c-ares.  See resolve.h.
//
// c-ares (1.18) does the sockets: it sends, matches answers by id and question,
// fetches by TCP what UDP cut short, and counts the time of one try.  The rest
// is ours, because it does it otherwise than we need:
//
//   ids       come from a stream cipher that is keyed badly (CVE-2023-31147)
//   ports     one socket for all questions, for as long as any is under way
//   tries     double their time each round; SERVFAIL is not told apart
//   cancel    all questions or none
//   answers   see dns_answer.h
//
// So there are several "lanes", each a channel of c-ares with one server, one
// UDP socket, at times one TCP connection, and one try for each question.  A
// lane takes SOCKET_QUERIES questions; then others are used until its last
// answer came, and with that c-ares closes the socket.  Where all are full, as
// when a slow zone is asked for all the time, the emptiest one goes on.  The
// kernel is to hold each socket's share of answers while we are busy, or those
// sessions wait for a second try: by default it drops all but some 250.  It gives
// SOCKET_BYTES or what it may (rmem_max).
//
// A question's memory is its query's.  A cancelled query stays with c-ares until
// it ends, and counts as under way that long.  Nobody is called from within
// c-ares: on_answer leaves everything to a task of the loop, so that owners may
// start, cancel and close as they like.
//
// Nothing is active on the loop while nothing is asked.
//
// Not taken: mixed case in names against forgers ("0x20").  Some servers answer
// in the case they like, and c-ares would end the question at the forged answer.
#include "proxy/net/resolve.h"

#include <ares.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>

#include "proxy/base/die.h"
#include "proxy/net/timer.h"

enum {
	LANES = 8, // some 75 KB each
	LANE_SOCKETS = 2,
	SOCKET_QUERIES = 64, // before it is replaced, once nothing is under way
	SOCKET_BYTES = 1024 * 1024,
	DNS_PORT = 53,
};

// A socket of c-ares on our loop; outlives the socket by a turn.
struct wire {
	uv_poll_t poll;
	struct lane *lane;
	int fd;
	int events;
};

struct lane {
	struct resolver *resolver;
	ares_channel channel;
	struct timer timer;
	struct wire *wires[LANE_SOCKETS];
	unsigned used; // questions since the socket is open
	unsigned under_way;
	bool broken; // a question could not be sent or its answer not be received
};

struct server {
	struct addr addr;
	bool no_edns;
	unsigned failures;    // since its last answer
	uint64_t answered_at; // 0: never did
	uint64_t recheck_at;
};

struct resolver {
	struct net *net;
	struct server servers[RESOLVER_SERVERS_MAX];
	unsigned num_servers;
	unsigned tries;
	int timeout_ms;
	uint64_t recheck_ms;
	struct lane lanes[LANES]; // each server's follow one another
	unsigned num_lanes;
	unsigned num_queries;
	unsigned num_handles; // the last one closed frees the resolver
	struct resolve *first;
};

struct resolver_query {
	struct resolve *resolve; // NULL: nobody waits any more
	struct resolver *resolver;
	struct lane *lane; // NULL: not with c-ares
	unsigned first;    // server
	unsigned attempt;
	unsigned failed_servers; // a bit for each that answered with a failure
	struct dns_query message;
	struct dns_answer *answer; // NULL until it comes, since it is large
};

static const char *const status_names[RESOLVE_STATUSES] = {
    [RESOLVE_OK] = "ok",
    [RESOLVE_NXDOMAIN] = "nxdomain",
    [RESOLVE_NODATA] = "nodata",
    [RESOLVE_SERVFAIL] = "servfail",
    [RESOLVE_REFUSED] = "refused",
    [RESOLVE_TIMEOUT] = "timeout",
    [RESOLVE_UNREACHABLE] = "unreachable",
    [RESOLVE_BUSY] = "busy",
};

const char *resolve_status_name(enum resolve_status status)
{
	return status_names[status];
}

// ---- sockets and time ---------------------------------------------------

static void handle_closed(struct resolver *resolver)
{
	if (!--resolver->num_handles)
		free(resolver);
}

// c-ares tells how long in whole milliseconds, rounded down.
static void set_timer(struct lane *lane)
{
	struct timeval room, *left = ares_timeout(lane->channel, NULL, &room);
	if (left)
		timer_set(&lane->timer,
		    (uint64_t)left->tv_sec * 1000 + (uint64_t)left->tv_usec / 1000 + 1);
	else
		timer_clear(&lane->timer);
}

// To be called after c-ares did anything.  The kernel tells once that nobody
// listens: to whoever sends or reads next.  So one question's failure ends all on
// the lane, which would else wait for nothing; they are tried again.
static void settle(struct lane *lane)
{
	if (lane->broken)
		ares_cancel(lane->channel);
	lane->broken = false;
	set_timer(lane);
}

static void on_due(struct timer *timer)
{
	struct lane *lane = timer->uv.data;
	ares_process_fd(lane->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	settle(lane);
}

// An error stops libuv's watching; c-ares finds it by reading, unless a write
// has fetched it meanwhile and the socket lives on.
static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct wire *wire = (struct wire *)poll;
	struct lane *lane = wire->lane;
	if (status < 0)
		uv_poll_start(poll, wire->events, on_poll);
	bool readable = status < 0 || events & UV_READABLE;
	bool writable = status < 0 || events & UV_WRITABLE;
	ares_process_fd(lane->channel, readable ? wire->fd : ARES_SOCKET_BAD,
	    writable ? wire->fd : ARES_SOCKET_BAD);
	settle(lane);
}

static void on_wire_closed(uv_handle_t *handle)
{
	struct wire *wire = (struct wire *)handle;
	handle_closed(wire->lane->resolver);
	free(wire);
}

// NULL when the loop refuses the socket; its questions time out then.
static struct wire *open_wire(struct lane *lane, int fd)
{
	struct wire *wire = xcalloc(1, sizeof(*wire));
	if (uv_poll_init(&lane->resolver->net->loop, &wire->poll, fd) < 0) {
		free(wire);
		return NULL;
	}
	wire->lane = lane;
	wire->fd = fd;
	lane->resolver->num_handles++;
	return wire;
}

static struct wire **find_wire(struct lane *lane, int fd)
{
	struct wire **free_place = NULL;
	for (size_t i = 0; i < LANE_SOCKETS; i++) {
		if (lane->wires[i] && lane->wires[i]->fd == fd)
			return &lane->wires[i];
		if (!lane->wires[i])
			free_place = &lane->wires[i];
	}
	BUG_ON(!free_place);
	return free_place;
}

// Called by c-ares when it waits for something else, and before it closes.
static void on_socket(void *context, ares_socket_t fd, int readable, int writable)
{
	struct lane *lane = context;
	struct wire **wire = find_wire(lane, fd);
	if (!*wire && (readable || writable))
		*wire = open_wire(lane, fd);
	if (!*wire)
		return;
	(*wire)->events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
	if ((*wire)->events) {
		uv_poll_start(&(*wire)->poll, (*wire)->events, on_poll);
		return;
	}
	uv_close((uv_handle_t *)&(*wire)->poll, on_wire_closed);
	*wire = NULL;
}

// ---- queries ------------------------------------------------------------

static struct resolver_query *new_query(struct resolver *resolver, const struct dns_query *message)
{
	struct resolver_query *query = xcalloc(1, sizeof(*query));
	query->resolver = resolver;
	query->message = *message;
	resolver->num_queries++;
	return query;
}

static void free_query(struct resolver_query *query)
{
	query->resolver->num_queries--;
	free(query->answer);
	free(query);
}

static uint16_t random_id(void)
{
	uint16_t id;
	ssize_t len = getrandom(&id, sizeof(id), 0);
	BUG_ON(len != sizeof(id));
	return id;
}

static struct lane *pick_lane(struct resolver *resolver, unsigned server)
{
	unsigned num = resolver->num_lanes / resolver->num_servers;
	struct lane *lanes = resolver->lanes + server * num, *emptiest = lanes;
	for (unsigned i = 0; i < num; i++) {
		if (lanes[i].used < SOCKET_QUERIES)
			return &lanes[i];
		if (lanes[i].under_way < emptiest->under_way)
			emptiest = &lanes[i];
	}
	return emptiest;
}

static unsigned server_of(const struct resolver_query *query)
{
	return (query->first + query->attempt) % query->resolver->num_servers;
}

static enum resolve_status status_of(int failure, enum dns_status status)
{
	if (failure)
		return failure == ARES_ETIMEOUT ? RESOLVE_TIMEOUT : RESOLVE_UNREACHABLE;
	switch (status) {
	case DNS_OK: return RESOLVE_OK;
	case DNS_NXDOMAIN: return RESOLVE_NXDOMAIN;
	case DNS_NODATA: return RESOLVE_NODATA;
	case DNS_SERVFAIL: return RESOLVE_SERVFAIL;
	case DNS_FORMERR:
	case DNS_REFUSED:
	case DNS_MALFORMED: break;
	}
	return RESOLVE_REFUSED;
}

static void end_soon(struct resolve *resolve, enum resolve_status status)
{
	resolve->status = status;
	net_defer(resolve->resolver->net, &resolve->task);
}

static void parse_answer(struct resolver_query *query, struct str bytes)
{
	if (!query->answer)
		query->answer = xmalloc(sizeof(*query->answer));
	dns_answer_parse(bytes, &query->message, query->answer);
}

static enum dns_status dns_status_of(const struct resolver_query *query)
{
	return query->answer ? query->answer->status : DNS_OK;
}

static bool is_down(const struct server *server)
{
	return server->failures >= RESOLVER_DOWN_AT;
}

static void note_health(struct resolver_query *query, bool answered)
{
	struct server *server = &query->resolver->servers[server_of(query)];
	uint64_t now = net_now(query->resolver->net);
	if (answered) {
		server->failures = 0;
		server->answered_at = now;
	} else if (!is_down(server) && ++server->failures == RESOLVER_DOWN_AT) {
		server->recheck_at = now + query->resolver->recheck_ms;
	}
}

// c-ares calls this for each ares_send, perhaps within it or within ares_cancel.
static void on_answer(void *context, int failure, int timeouts, unsigned char *bytes, int len)
{
	struct resolver_query *query = context;
	struct lane *lane = query->lane;
	(void)timeouts;
	query->lane = NULL;
	if (!--lane->under_way)
		lane->used = 0; // its socket is closed next
	lane->broken |= failure && failure != ARES_ETIMEOUT;
	note_health(query, !failure);
	if (!query->resolve) {
		free_query(query);
		return;
	}
	if (!failure)
		parse_answer(query, (struct str){(const char *)bytes, (size_t)len});
	end_soon(query->resolve, status_of(failure, dns_status_of(query)));
}

static void send_query(struct resolver_query *query)
{
	struct lane *lane = pick_lane(query->resolver, server_of(query));
	if (query->resolver->servers[server_of(query)].no_edns)
		dns_query_drop_edns(&query->message);
	dns_query_set_id(&query->message, random_id());
	query->lane = lane;
	lane->used++;
	lane->under_way++;
	ares_send(lane->channel, query->message.at, (int)query->message.len, on_answer, query);
	settle(lane);
}

// The server that a question begins with.
static unsigned first_server(const struct resolver *resolver)
{
	const struct server *servers = resolver->servers;
	unsigned last = 0;
	for (unsigned i = 0; i < resolver->num_servers; i++) {
		if (!is_down(&servers[i]))
			return i;
		if (servers[i].answered_at > servers[last].answered_at)
			last = i;
	}
	return last;
}

// Asks those before `first` that have been down for long the same, for nobody.
static void recheck(struct resolver *resolver, unsigned first, const struct dns_query *message)
{
	uint64_t now = net_now(resolver->net);
	for (unsigned i = 0; i < first; i++) {
		struct server *server = &resolver->servers[i];
		if (now < server->recheck_at || resolver->num_queries == RESOLVER_BUSY_AT)
			continue;
		server->recheck_at = now + resolver->recheck_ms;
		struct resolver_query *query = new_query(resolver, message);
		query->first = i;
		send_query(query);
	}
}

static void ask(struct resolve *resolve, const struct dns_query *message)
{
	struct resolver *resolver = resolve->resolver;
	struct resolver_query *query = new_query(resolver, message);
	query->resolve = resolve;
	resolve->query = query;
	unsigned first = query->first = first_server(resolver);
	send_query(query);
	recheck(resolver, first, message);
}

// A server that does not know EDNS (RFC 6891 section 7) is asked again without.
// c-ares does so by itself once, and from then on only tells.
static bool send_without_edns(struct resolver_query *query)
{
	struct server *server = &query->resolver->servers[server_of(query)];
	if (dns_status_of(query) != DNS_FORMERR || !dns_query_has_edns(&query->message))
		return false;
	server->no_edns = true;
	send_query(query);
	return true;
}

// Whether it was sent again, to another server or once more.
static bool send_again(struct resolver_query *query, enum resolve_status status)
{
	unsigned attempts = query->resolver->tries * query->resolver->num_servers;
	if (status == RESOLVE_SERVFAIL || status == RESOLVE_REFUSED)
		query->failed_servers |= 1U << server_of(query);
	else if (status != RESOLVE_TIMEOUT && status != RESOLVE_UNREACHABLE)
		return false;
	while (++query->attempt < attempts)
		if (!(query->failed_servers >> server_of(query) & 1)) {
			send_query(query);
			return true;
		}
	return false;
}

// ---- what owners call ---------------------------------------------------

static void link_to(struct resolver *resolver, struct resolve *resolve)
{
	resolve->resolver = resolver;
	resolve->previous = NULL;
	resolve->next = resolver->first;
	if (resolve->next)
		resolve->next->previous = resolve;
	resolver->first = resolve;
}

static void unlink_from(struct resolver *resolver, struct resolve *resolve)
{
	if (resolve->next)
		resolve->next->previous = resolve->previous;
	if (resolve->previous)
		resolve->previous->next = resolve->next;
	else
		resolver->first = resolve->next;
	resolve->resolver = NULL;
}

static void describe(const struct dns_answer *from, struct resolve_answer *out)
{
	out->ttl_s = from->ttl_s;
	out->num_names = from->num_names;
	for (size_t i = 0; i < from->num_names; i++)
		out->names[i] = dns_name_str(&from->names[i]);
	out->num_ignored = from->num_ignored;
	out->num_illegal = from->num_illegal;
	out->illegal = dns_name_str(&from->illegal);
	out->num_addrs = from->num_addrs;
	out->addrs = from->addrs;
}

// The answer's memory stays until on_done returns, whatever that does.
static void deliver(struct resolve *resolve)
{
	struct resolver_query *query = resolve->query;
	struct resolve_answer answer = {.status = resolve->status};
	unlink_from(resolve->resolver, resolve);
	resolve->query = NULL;
	if (query)
		query->resolver->num_queries--;
	if (query && query->answer)
		describe(query->answer, &answer);
	resolve->on_done(resolve, &answer);
	if (query)
		free(query->answer);
	free(query);
}

static void run(struct net_task *task)
{
	struct resolve *resolve = (void *)((char *)task - offsetof(struct resolve, task));
	struct resolver_query *query = resolve->query;
	if (query && (send_without_edns(query) || send_again(query, resolve->status)))
		return;
	deliver(resolve);
}

static void start(
    struct resolve *resolve, struct resolver *resolver, const struct dns_query *message)
{
	BUG_ON(resolve->resolver);
	link_to(resolver, resolve);
	resolve->task.run = run;
	if (!message)
		end_soon(resolve, RESOLVE_NXDOMAIN);
	else if (resolver->num_queries == RESOLVER_BUSY_AT)
		end_soon(resolve, RESOLVE_BUSY);
	else
		ask(resolve, message);
}

void resolve_start(
    struct resolve *resolve, struct resolver *resolver, enum dns_type type, struct str name)
{
	struct dns_query message;
	bool can_be = dns_query_host(&message, type, name);
	start(resolve, resolver, can_be ? &message : NULL);
}

void resolve_start_reverse(
    struct resolve *resolve, struct resolver *resolver, const struct addr *addr)
{
	struct dns_query message;
	dns_query_reverse(&message, addr);
	start(resolve, resolver, &message);
}

void resolve_cancel(struct resolve *resolve)
{
	struct resolver_query *query = resolve->query;
	if (!resolve->resolver)
		return;
	net_cancel(resolve->resolver->net, &resolve->task);
	unlink_from(resolve->resolver, resolve);
	resolve->query = NULL;
	if (!query)
		return;
	query->resolve = NULL;
	if (!query->lane)
		free_query(query);
}

// ---- the resolver -------------------------------------------------------

static bool succeeded(int failure, struct text *why)
{
	if (failure)
		text_addf(why, "c-ares refuses: %s", ares_strerror(failure));
	return !failure;
}

static struct addr addr_of_node(const struct ares_addr_port_node *node)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = node->addr.addr4};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	memcpy(&v6.sin6_addr, &node->addr.addr6, sizeof(v6.sin6_addr));
	bool is_v6 = node->family == AF_INET6;
	struct addr addr = addr_of(is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4);
	addr_set_port(&addr, node->udp_port ? (uint16_t)node->udp_port : DNS_PORT);
	return addr;
}

static struct ares_addr_port_node node_of_addr(const struct addr *addr)
{
	struct ares_addr_port_node node = {.family = addr->any.sa_family};
	if (node.family == AF_INET6)
		memcpy(&node.addr.addr6, &addr->v6.sin6_addr, sizeof(node.addr.addr6));
	else
		node.addr.addr4 = addr->v4.sin_addr;
	node.udp_port = node.tcp_port = addr_port(addr);
	return node;
}

static void add_server(struct resolver *resolver, const struct addr *addr)
{
	if (resolver->num_servers < RESOLVER_SERVERS_MAX)
		resolver->servers[resolver->num_servers++].addr = *addr;
}

// Those of /etc/resolv.conf as c-ares reads it; 127.0.0.1 when it has none.
static bool add_system_servers(struct resolver *resolver, struct text *why)
{
	struct ares_addr_port_node *nodes = NULL;
	ares_channel channel;
	if (!succeeded(ares_init(&channel), why))
		return false;
	bool known = succeeded(ares_get_servers_ports(channel, &nodes), why);
	for (const struct ares_addr_port_node *node = nodes; node; node = node->next) {
		struct addr addr = addr_of_node(node);
		add_server(resolver, &addr);
	}
	ares_free_data(nodes);
	ares_destroy(channel);
	return known;
}

static bool add_servers(
    struct resolver *resolver, const struct resolver_setup *options, struct text *why)
{
	for (size_t i = 0; i < options->num_servers; i++)
		add_server(resolver, &options->servers[i]);
	return options->num_servers || add_system_servers(resolver, why);
}

// All that c-ares would otherwise look for in files is said here.
static bool open_channel(struct lane *lane, const struct server *server, struct text *why)
{
	char lookups[] = "b";
	struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
	                                        ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS,
	    .timeout = lane->resolver->timeout_ms,
	    .tries = 1,
	    .ndots = 1,
	    .socket_receive_buffer_size = SOCKET_BYTES,
	    .ednspsz = DNS_UDP_MAX,
	    .lookups = lookups,
	    .sock_state_cb = on_socket,
	    .sock_state_cb_data = lane};
	int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
	            ARES_OPT_EDNSPSZ | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
	            ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_SORTLIST | ARES_OPT_NOROTATE |
	            ARES_OPT_SOCK_RCVBUF;
	struct ares_addr_port_node node = node_of_addr(&server->addr);
	if (!succeeded(ares_init_options(&lane->channel, &options, given), why))
		return false;
	if (succeeded(ares_set_servers_ports(lane->channel, &node), why))
		return true;
	ares_destroy(lane->channel);
	return false;
}

static bool open_lane(struct resolver *resolver, const struct server *server, struct text *why)
{
	struct lane *lane = &resolver->lanes[resolver->num_lanes];
	lane->resolver = resolver;
	if (!open_channel(lane, server, why))
		return false;
	timer_init(&lane->timer, resolver->net, on_due);
	lane->timer.uv.data = lane;
	resolver->num_handles++;
	resolver->num_lanes++;
	return true;
}

static bool open_lanes(struct resolver *resolver, struct text *why)
{
	unsigned num = LANES / resolver->num_servers;
	for (unsigned i = 0; i < num * resolver->num_servers; i++)
		if (!open_lane(resolver, &resolver->servers[i / num], why))
			return false;
	return true;
}

struct resolver *resolver_new(
    struct net *net, const struct resolver_setup *options, struct text *why)
{
	struct resolver *resolver = xcalloc(1, sizeof(*resolver));
	resolver->net = net;
	resolver->tries = options->tries;
	resolver->timeout_ms = options->timeout_ms < INT_MAX ? (int)options->timeout_ms : INT_MAX;
	resolver->recheck_ms = options->recheck_ms ? options->recheck_ms : RESOLVER_RECHECK_MS;
	resolver->num_handles = 1;
	if (!add_servers(resolver, options, why) || !open_lanes(resolver, why))
		resolver_close(&resolver);
	return resolver;
}

unsigned resolver_num_servers(const struct resolver *resolver)
{
	return resolver->num_servers;
}

static void on_timer_closed(struct timer *timer)
{
	struct lane *lane = timer->uv.data;
	handle_closed(lane->resolver);
}

void resolver_close(struct resolver **resolver)
{
	struct resolver *closing = *resolver;
	*resolver = NULL;
	if (!closing)
		return;
	while (closing->first)
		resolve_cancel(closing->first);
	for (unsigned i = 0; i < closing->num_lanes; i++) {
		ares_destroy(closing->lanes[i].channel);
		timer_close(&closing->lanes[i].timer, on_timer_closed);
	}
	handle_closed(closing);
}
