// snapshot.c: from a configuration to everything it names.  See snapshot.h.
//
// Every part is tried, so that one run of `popgate check` shows every problem.
#include "proxy/session/snapshot.h"

#include <stdlib.h>

#include "backends/backend.h"
#include "certs/load.h"
#include "certs/trust.h"
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
	check_log(config, problems);
	load_certificates(snapshot, problems);
	for (size_t i = 0; i < config->num_backends; i++)
		load_backend(snapshot, i, problems);
	if (problems->num)
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
	for (size_t i = 0; i < old->config->num_listeners; i++)
		tls_server_free(&old->certificates[i]);
	free(old->backends);
	free(old->clients);
	free(old->trusts);
	free(old->certificates);
	config_free(&old->config);
	free(old);
	*snapshot = NULL;
}
