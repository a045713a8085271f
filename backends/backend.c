// backend.c: servers and their order.  See backend.h.
#include "backends/backend.h"

#include <netdb.h>
#include <stdlib.h>

#include "backends/password_file.h"
#include "proxy/base/die.h"

// How long a server that failed is tried only when all others fail too.
enum { REST_MS = 10 * 1000 };

static bool split_host_port(struct str s, struct str *out_host, struct str *out_port)
{
	size_t colon = s.len;
	while (colon && s.at[colon - 1] != ':')
		colon--;
	if (!colon)
		return false;
	*out_host = str_take(s, colon - 1);
	*out_port = str_drop(s, colon);
	if (out_host->len > 2 && out_host->at[0] == '[' && out_host->at[out_host->len - 1] == ']')
		*out_host = str_take(str_drop(*out_host, 1), out_host->len - 2);
	return out_host->len && out_port->len;
}

static bool add_server(
    struct backend *backend, const char *name, const char *host, const struct sockaddr *sockaddr)
{
	if (backend->num_servers == BACKEND_SERVERS_MAX)
		return false;
	backend->servers[backend->num_servers++] = (struct backend_server){
	    .name = str_dup(str_of(name)),
	    .host = str_dup(str_of(host)),
	    .addr = addr_of(sockaddr),
	};
	return true;
}

// A host may have several addresses; each is a server of its own.
static bool look_up(
    struct backend *backend, const char *name, const char *host, const char *port, struct text *why)
{
	struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	bool fits = true;
	int failed = getaddrinfo(host, port, &wanted, &found);
	if (failed) {
		text_addf(why, "cannot look up the server \"%s\": %s", name, gai_strerror(failed));
		return false;
	}
	for (struct addrinfo *each = found; each && fits; each = each->ai_next)
		fits = add_server(backend, name, host, each->ai_addr);
	freeaddrinfo(found);
	if (!fits)
		text_addf(why, "more than %d server addresses", BACKEND_SERVERS_MAX);
	return fits;
}

static bool add_servers(struct backend *backend, const char *name, struct text *why)
{
	struct str host, port;
	if (!split_host_port(str_of(name), &host, &port)) {
		text_addf(why, "a server is written host:port, not \"%s\"", name);
		return false;
	}
	char *host_copy = str_dup(host), *port_copy = str_dup(port);
	bool good = look_up(backend, name, host_copy, port_copy, why);
	free(host_copy);
	free(port_copy);
	return good;
}

static bool load_master_password(struct backend *backend, struct text *why)
{
	const char *path = backend->options->master_password_file;
	return !*path || password_file_read(path, &backend->master_password, why);
}

struct backend *backend_new(
    const struct backend_config *config, const struct tls_client *client, struct text *why)
{
	struct backend *backend = xcalloc(1, sizeof(*backend));
	backend->name = config->name;
	backend->options = &config->options;
	backend->client = client;
	bool good = load_master_password(backend, why);
	for (size_t i = 0; good && i < config->options.servers.num; i++)
		good = add_servers(backend, config->options.servers.at[i], why);
	if (!good)
		backend_free(&backend);
	return backend;
}

void backend_free(struct backend **backend)
{
	if (!*backend)
		return;
	for (size_t i = 0; i < (*backend)->num_servers; i++) {
		free((*backend)->servers[i].name);
		free((*backend)->servers[i].host);
	}
	secret_done(&(*backend)->master_password);
	free(*backend);
	*backend = NULL;
}

struct backend_server *backend_next(struct backend *backend, uint64_t now_ms, uint32_t tried)
{
	struct backend_server *resting = NULL;
	for (size_t i = 0; i < backend->num_servers; i++) {
		struct backend_server *server = &backend->servers[i];
		if (tried & 1u << i)
			continue;
		if (server->resting_until <= now_ms)
			return server;
		if (!resting)
			resting = server;
	}
	return resting;
}

static void log_server(
    struct log_line *line, const struct backend *backend, const struct backend_server *server)
{
	log_str(line, "backend", str_of(backend->name));
	log_str(line, "server", str_of(server->name));
	log_addr(line, "address", &server->addr);
}

void backend_failed(
    struct backend *backend, struct backend_server *server, uint64_t now_ms, struct str why)
{
	struct log_line line;
	bool known = server->resting_until != 0;
	server->resting_until = now_ms + REST_MS;
	if (known && !log_wants(LOG_LEVEL_debug))
		return;
	log_begin(&line, LOG_backend_failed);
	log_server(&line, backend, server);
	log_str(&line, "why", why);
	log_end(&line);
}

void backend_broke_off(
    const struct backend *backend, const struct backend_server *server, struct str why)
{
	struct log_line line;
	log_begin(&line, LOG_login_broken_off);
	log_server(&line, backend, server);
	log_str(&line, "why", why);
	log_end(&line);
}

void backend_not_asked(const struct backend *backend, struct str why)
{
	struct log_line line;
	log_begin(&line, LOG_login_not_asked);
	log_str(&line, "backend", str_of(backend->name));
	log_str(&line, "why", why);
	log_end(&line);
}

void backend_answered(struct backend *backend, struct backend_server *server)
{
	struct log_line line;
	if (!server->resting_until)
		return;
	server->resting_until = 0;
	log_begin(&line, LOG_backend_back);
	log_server(&line, backend, server);
	log_end(&line);
}
