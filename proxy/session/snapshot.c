// snapshot.c: from a configuration to everything it names.  See snapshot.h.
//
// Every part is tried, so that one run of `popgate check` shows every problem.
#include "proxy/session/snapshot.h"

#include <stdlib.h>

#include "backends/backend.h"
#include "certs/load.h"
#include "certs/trust.h"
#include "policy/range.h"
#include "proxy/base/die.h"

static struct tls_server *load_certificate(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	char room[512];
	struct text why = TEXT(room);
	const struct certificate_config *pair = &config->certificates[listener->certificate];
	struct tls_server *server = certs_load(
	    pair->options.chain, pair->options.key, listener->options.session_tickets, &why);
	if (!server)
		problems_add(problems, config->path, pair->place, "certificate \"%s\": %s",
		    pair->name, room);
	return server;
}

static void load_certificates(struct snapshot *snapshot, struct problems *problems)
{
	struct config *config = snapshot->config;
	for (size_t i = 0; i < config->num_listeners; i++)
		if (config->listeners[i].options.tls != LISTENER_TLS_none)
			snapshot->certificates[i] =
			    load_certificate(config, &config->listeners[i], problems);
}

// What this backend's certificates are judged by; NULL with *why empty: by
// nothing.
static struct trust *load_trust(const struct backend_options *options, struct text *why)
{
	if (options->fingerprint[0])
		return trust_fingerprint(str_of(options->fingerprint), why);
	return options->verify ? trust_authorities(options->ca, why) : NULL;
}

static struct tls_client *load_client(
    struct snapshot *snapshot, size_t i, const struct backend_options *options, struct text *why)
{
	if (options->tls == BACKEND_TLS_none)
		return NULL;
	snapshot->trusts[i] = load_trust(options, why);
	if (why->len)
		return NULL;
	return tls_client_new(snapshot->trusts[i] ? trust_verify : NULL, snapshot->trusts[i], why);
}

static void load_backend(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	char room[1024];
	struct text why = TEXT(room);
	const struct backend_config *config = &snapshot->config->backends[i];
	snapshot->clients[i] = load_client(snapshot, i, &config->options, &why);
	if (!why.len)
		snapshot->backends[i] = backend_new(config, snapshot->clients[i], &why);
	if (why.len)
		problems_add(problems, snapshot->config->path, config->place, "backend \"%s\": %s",
		    config->name, room);
}

static void load_load_balancers(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	const struct text_list *from = &snapshot->config->listeners[i].options.proxy_from;
	struct addr_range *ranges = xcalloc(from->num, sizeof(*ranges));
	for (size_t k = 0; k < from->num; k++) {
		char room[512];
		struct text why = TEXT(room);
		if (!range_parse(str_of(from->at[k]), &ranges[k], &why))
			problems_add(problems, snapshot->config->path, from->places[k],
			    "proxy_from: %s", room);
	}
	snapshot->load_balancers[i] = ranges;
}

static void check_log(const struct config *config, struct problems *problems)
{
	char room[512];
	struct text why = TEXT(room);
	if (!log_can_open(str_of(config->log.target), &why))
		problems_add(problems, config->path, config->log_places[LOG_OPTION_target],
		    "target: %s", room);
}

struct snapshot *snapshot_load(const char *path, struct problems *problems)
{
	struct config *config = config_load(path, problems);
	if (!config)
		return NULL;
	struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
	snapshot->config = config;
	snapshot->backends = xcalloc(config->num_backends, sizeof(*snapshot->backends));
	snapshot->clients = xcalloc(config->num_backends, sizeof(*snapshot->clients));
	snapshot->trusts = xcalloc(config->num_backends, sizeof(*snapshot->trusts));
	snapshot->certificates = xcalloc(config->num_listeners, sizeof(*snapshot->certificates));
	snapshot->load_balancers =
	    xcalloc(config->num_listeners, sizeof(*snapshot->load_balancers));
	check_log(config, problems);
	load_certificates(snapshot, problems);
	for (size_t i = 0; i < config->num_backends; i++)
		load_backend(snapshot, i, problems);
	for (size_t i = 0; i < config->num_listeners; i++)
		load_load_balancers(snapshot, i, problems);
	if (!rulebook_load(&snapshot->rulebook, config, problems) || problems->num)
		snapshot_free(&snapshot);
	return snapshot;
}

void snapshot_free(struct snapshot **snapshot)
{
	struct snapshot *old = *snapshot;
	if (!old)
		return;
	for (size_t i = 0; i < old->config->num_backends; i++) {
		backend_free(&old->backends[i]);
		tls_client_free(&old->clients[i]);
		trust_free(&old->trusts[i]);
	}
	for (size_t i = 0; i < old->config->num_listeners; i++) {
		tls_server_free(&old->certificates[i]);
		free(old->load_balancers[i]);
	}
	rulebook_close(&old->rulebook);
	free(old->backends);
	free(old->clients);
	free(old->trusts);
	free(old->certificates);
	free(old->load_balancers);
	config_free(&old->config);
	free(old);
	*snapshot = NULL;
}
