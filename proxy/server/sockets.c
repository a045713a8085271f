// sockets.c: opening, sharing and closing the listening sockets.  See
// sockets.h.
//
// Every socket has SO_REUSEPORT, so that each worker has a queue of its own.
// That would also let a second popgate of the same user take half of our
// connections, or us half of another program's; so before the first socket of
// a bind there is a trial without it.
#include "proxy/server/sockets.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/server/port_owner.h"

// Two binds of ours, "192.0.2.1:995" and "0.0.0.0:995", may well be side by
// side, or one follow the other at a reload.
static bool overlaps_ours(const struct sockets *sockets, const struct addr *addr)
{
	for (const struct bound *b = sockets->bounds; b; b = b->next)
		if (b->num_fds && addr_overlaps(&b->actual, addr))
			return true;
	return false;
}

static bool set_on(int fd, int level, int option)
{
	static const int on = 1;
	return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

// Accepted sockets inherit no-delay, since a session is a dialogue of short
// lines.  Not keep-alive: each phase has its deadline, also for clients that
// vanish without a word.  IPV6_V6ONLY is always set:
// "[::]:995" and "0.0.0.0:995" are two binds, whatever the system's default,
// as they are in Exchange's list of bindings.
static bool set_options(int fd, const struct addr *addr)
{
	return set_on(fd, SOL_SOCKET, SO_REUSEADDR) && set_on(fd, IPPROTO_TCP, TCP_NODELAY) &&
	       (addr->any.sa_family != AF_INET6 || set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY));
}

// -1 with errno set when the address is not to be had.
static int open_bound(const struct addr *addr, bool shared)
{
	int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (set_options(fd, addr) && (!shared || set_on(fd, SOL_SOCKET, SO_REUSEPORT)) &&
	    bind(fd, &addr->any, addr_len(addr)) == 0)
		return fd;
	int why = errno;
	close(fd);
	errno = why;
	return -1;
}

static void explain_taken(const struct addr *addr, struct text *why)
{
	struct port_owner owner;
	if (port_owner_find(addr, &owner))
		text_addf(why, "the port is taken by %s, pid %d", owner.program, (int)owner.pid);
	else
		text_addf(why, "the port is taken by a program that cannot be seen from here");
	text_addf(why, "; stop it or choose another port");
}

static void explain_bind(const struct addr *addr, struct str whose, int error, struct text *why)
{
	text_addf(why, "cannot listen on ");
	addr_print(addr, why);
	text_addf(why, " (%.*s): ", STR_ARG(whose));
	if (error == EADDRINUSE)
		explain_taken(addr, why);
	else if (error == EACCES)
		text_addf(why,
		    "this port needs root or CAP_NET_BIND_SERVICE; start popgate as root or "
		    "choose a port from 1024");
	else if (error == EADDRNOTAVAIL)
		text_addf(
		    why, "no interface has this address; add it to one or choose another address");
	else
		text_addf(why, "%s", strerror(error));
}

static void explain_bound(const struct bound *bound, int error, struct text *why)
{
	char room[256];
	struct text whose = TEXT(room);
	text_addf(&whose, "listener \"%s\"", bound->listener);
	explain_bind(&bound->wanted, text_str(&whose), error, why);
}

void sockets_adopt_fd(struct bound *bound, int fd)
{
	bound->fds = xrealloc(bound->fds, (bound->num_fds + 1) * sizeof(*bound->fds));
	bound->fds[bound->num_fds++] = fd;
}

static bool is_exclusive(const struct addr *addr)
{
	int fd = open_bound(addr, false);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int sockets_open_alone(
    const struct addr *addr, const struct addr *former, const char *whose, struct text *why)
{
	bool is_free = (former && addr_overlaps(former, addr)) || is_exclusive(addr);
	int fd = is_free ? open_bound(addr, true) : -1;
	if (fd < 0)
		explain_bind(addr, str_of(whose), errno, why);
	return fd;
}

static bool open_next(struct sockets *sockets, struct bound *bound, struct text *why)
{
	bool first = !bound->num_fds;
	int fd = -1;
	// A port that the kernel picks is free.
	if (!first || !addr_port(&bound->wanted) || overlaps_ours(sockets, &bound->wanted) ||
	    is_exclusive(&bound->wanted))
		fd = open_bound(&bound->actual, true);
	if (fd < 0) {
		explain_bound(bound, errno, why);
		return false;
	}
	struct addr actual;
	socklen_t len = sizeof(actual);
	if (getsockname(fd, &actual.any, &len) == 0)
		bound->actual = addr_of(&actual.any);
	sockets_adopt_fd(bound, fd);
	return true;
}

struct bound *sockets_adopt_bound(struct sockets *sockets, const struct addr *wanted,
    const struct addr *actual, struct str listener)
{
	struct bound *bound = xcalloc(1, sizeof(*bound));
	bound->next = sockets->bounds;
	bound->listener = str_dup(listener);
	bound->wanted = *wanted;
	bound->actual = *actual;
	sockets->bounds = bound;
	return bound;
}

static struct socket_plan_item *item_of(const struct socket_plan *plan, const struct bound *bound)
{
	for (size_t i = 0; i < plan->num_items; i++)
		if (plan->items[i].bound == bound)
			return &plan->items[i];
	return NULL;
}

// Prefers the listener's own: "127.0.0.1:0" may be wanted by several.
static struct bound *find_bound(const struct sockets *sockets, const struct socket_plan *plan,
    struct str listener, const struct addr *wanted)
{
	struct bound *found = NULL;
	for (struct bound *b = sockets->bounds; b; b = b->next) {
		if (!addr_eq(&b->wanted, wanted) || item_of(plan, b))
			continue;
		found = b;
		if (str_eq(str_of(b->listener), listener))
			break;
	}
	return found;
}

static struct socket_plan_item *add_item(
    struct socket_plan *plan, struct bound *bound, size_t listener)
{
	plan->items = xrealloc(plan->items, (plan->num_items + 1) * sizeof(*plan->items));
	struct socket_plan_item *item = &plan->items[plan->num_items++];
	*item = (struct socket_plan_item){bound, listener, bound->num_fds};
	return item;
}

static bool plan_bind(struct sockets *sockets, struct socket_plan *plan,
    const struct listener_config *listener, size_t index, const char *bind, size_t num_workers,
    struct text *why)
{
	struct addr wanted;
	struct str name = str_of(listener->name);
	BUG_ON(!addr_parse(str_of(bind), 0, &wanted)); // the configuration was checked
	struct bound *bound = find_bound(sockets, plan, name, &wanted);
	if (!bound)
		bound = sockets_adopt_bound(sockets, &wanted, &wanted, name);
	struct socket_plan_item *item = add_item(plan, bound, index);
	while (bound->num_fds < num_workers)
		if (!open_next(sockets, bound, why))
			return false;
	item->num_fds = bound->num_fds;
	return true;
}

static struct socket_plan *new_plan(struct sockets *sockets)
{
	struct socket_plan *plan = xcalloc(1, sizeof(*plan));
	plan->next = sockets->plans;
	sockets->plans = plan;
	return plan;
}

struct socket_plan *sockets_plan(
    struct sockets *sockets, const struct config *config, size_t num_workers, struct text *why)
{
	struct socket_plan *plan = new_plan(sockets);
	for (size_t i = 0; i < config->num_listeners; i++) {
		const struct listener_config *listener = &config->listeners[i];
		for (size_t b = 0; b < listener->options.bind.num; b++)
			if (!plan_bind(sockets, plan, listener, i, listener->options.bind.at[b],
			        num_workers, why)) {
				sockets_release(sockets, &plan);
				return NULL;
			}
	}
	return plan;
}

struct socket_plan *sockets_plan_all(struct sockets *sockets)
{
	struct socket_plan *plan = new_plan(sockets);
	for (struct bound *b = sockets->bounds; b; b = b->next)
		add_item(plan, b, 0);
	return plan;
}

// How many of the bound's sockets any plan still has.
static size_t num_wanted(const struct sockets *sockets, const struct bound *bound)
{
	size_t most = 0;
	for (const struct socket_plan *plan = sockets->plans; plan; plan = plan->next) {
		const struct socket_plan_item *item = item_of(plan, bound);
		if (item && item->num_fds > most)
			most = item->num_fds;
	}
	return most;
}

static void close_unwanted(struct sockets *sockets)
{
	for (struct bound **link = &sockets->bounds; *link;) {
		struct bound *bound = *link;
		size_t wanted = num_wanted(sockets, bound);
		while (bound->num_fds > wanted)
			close(bound->fds[--bound->num_fds]);
		if (wanted) {
			link = &bound->next;
			continue;
		}
		*link = bound->next;
		free(bound->fds);
		free(bound->listener);
		free(bound);
	}
}

void sockets_release(struct sockets *sockets, struct socket_plan **plan)
{
	if (!*plan)
		return;
	struct socket_plan **link = &sockets->plans;
	while (*link != *plan)
		link = &(*link)->next;
	*link = (*plan)->next;
	free((*plan)->items);
	free(*plan);
	*plan = NULL;
	close_unwanted(sockets);
}

static struct str tls_name(enum listener_tls tls)
{
	switch (tls) {
	case LISTENER_TLS_implicit: return STR("implicit");
	case LISTENER_TLS_stls: return STR("stls");
	case LISTENER_TLS_none: return STR("none");
	}
	return STR("");
}

static void announce(const struct bound *bound, const struct listener_config *listener)
{
	struct log_line line;
	log_begin(&line, LOG_listening);
	log_addr(&line, "address", &bound->actual);
	log_str(&line, "listener", str_of(listener->name));
	log_str(&line, "tls", tls_name(listener->options.tls));
	log_end(&line);
}

void sockets_announce(struct socket_plan *plan, const struct config *config)
{
	for (size_t i = 0; i < plan->num_items; i++) {
		struct bound *bound = plan->items[i].bound;
		const struct listener_config *listener =
		    &config->listeners[plan->items[i].listener];
		if (!bound->announced)
			announce(bound, listener);
		bound->announced = true;
		// From now on it is known by the name in force.
		free(bound->listener);
		bound->listener = str_dup(str_of(listener->name));
	}
}

struct worker_socket *sockets_share(
    const struct socket_plan *plan, size_t slot, size_t num_workers, size_t *out_num)
{
	struct worker_socket *share = NULL;
	*out_num = 0;
	for (size_t i = 0; i < plan->num_items; i++) {
		const struct socket_plan_item *item = &plan->items[i];
		for (size_t f = slot; f < item->num_fds; f += num_workers) {
			share = xrealloc(share, (*out_num + 1) * sizeof(*share));
			share[(*out_num)++] =
			    (struct worker_socket){item->bound->fds[f], item->listener};
		}
	}
	return share;
}

static bool is_in(const struct worker_socket *share, size_t num_share, int fd)
{
	for (size_t i = 0; i < num_share; i++)
		if (share[i].fd == fd)
			return true;
	return false;
}

bool sockets_listen(const struct sockets *sockets, const struct config *config,
    const struct worker_socket *share, size_t num_share)
{
	for (const struct bound *b = sockets->bounds; b; b = b->next)
		for (size_t i = 0; i < b->num_fds; i++)
			if (!is_in(share, num_share, b->fds[i]))
				close(b->fds[i]);
	for (size_t i = 0; i < num_share; i++) {
		uint64_t backlog = config->listeners[share[i].listener].options.backlog;
		if (listen(share[i].fd, (int)backlog) < 0)
			return false;
	}
	return true;
}
