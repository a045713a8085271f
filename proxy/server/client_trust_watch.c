// client_trust_watch.c: from files that have changed to workers that judge by them.  See
// client_trust_watch.h.
#include "proxy/server/client_trust_watch.h"

#include "certs/client_trust.h"
#include "proxy/base/log.h"
#include "proxy/server/channel.h"
#include "proxy/server/clock.h"

enum { LOOK_MS = 500 };

static void send_trust(struct worker_process *worker, const struct client_trust *trust)
{
	if (worker->channel >= 0 &&
	    !channel_send_fd(worker->channel, CHANNEL_client_trust, client_trust_fd(trust)))
		worker->lacks_client_trust = true;
}

static void send_to_all(struct generation *generation, const struct client_trust *trust)
{
	for (size_t i = 0; i < generation->num_workers; i++)
		send_trust(&generation->workers[i], trust);
}

// A worker too busy to empty its channel shall not let revoked certificates in for ever.
static void send_again(struct generation *generation)
{
	const struct snapshot *snapshot = generation->snapshot;
	for (size_t i = 0; i < generation->num_workers; i++) {
		struct worker_process *worker = &generation->workers[i];
		if (!worker->lacks_client_trust)
			continue;
		worker->lacks_client_trust = false;
		for (size_t k = 0; k < snapshot->config->num_listeners; k++)
			if (snapshot->client_trusts[k])
				send_trust(worker, snapshot->client_trusts[k]);
	}
}

static void log_replaced(const struct generation *generation, const char *listener)
{
	struct log_line line;
	log_begin(&line, LOG_client_trust_replaced);
	log_str(&line, "listener", str_of(listener));
	log_u64(&line, "generation", generation->number);
	log_end(&line);
}

static void refresh(struct generation *generation, size_t i)
{
	char room[1024];
	struct text why = TEXT(room);
	struct snapshot *snapshot = generation->snapshot;
	const char *listener = snapshot->config->listeners[i].name;
	switch (client_trust_refresh(&snapshot->client_trusts[i], &why)) {
	case CLIENT_TRUST_SAME: return;
	case CLIENT_TRUST_REPLACED:
		snapshot_ask_for_certificates(snapshot, i);
		send_to_all(generation, snapshot->client_trusts[i]);
		log_replaced(generation, listener);
		return;
	case CLIENT_TRUST_REFUSED:
		log_why(LOG_client_trust_refused, "listener %s: %s", listener, room);
		return;
	case CLIENT_TRUST_EXPIRED:
		log_why(LOG_client_trust_expired, "listener %s: %s", listener, room);
		return;
	}
}

static bool asks_for_certificates(const struct generation *generation)
{
	const struct snapshot *snapshot = generation->snapshot;
	for (size_t i = 0; snapshot && i < snapshot->config->num_listeners; i++)
		if (snapshot->client_trusts[i])
			return true;
	return false;
}

void client_trust_watch_tick(
    struct client_trust_watch *watch, const struct generations *generations, uint64_t now_ms)
{
	if (now_ms < watch->look_ms)
		return;
	watch->look_ms = now_ms + LOOK_MS;
	for (struct generation *g = generations->newest; g; g = g->next) {
		if (!asks_for_certificates(g))
			continue;
		send_again(g);
		for (size_t i = 0; i < g->snapshot->config->num_listeners; i++)
			if (g->snapshot->client_trusts[i])
				refresh(g, i);
	}
}

uint64_t client_trust_watch_next_due(
    const struct client_trust_watch *watch, const struct generations *generations)
{
	for (const struct generation *g = generations->newest; g; g = g->next)
		if (asks_for_certificates(g))
			return watch->look_ms;
	return CLOCK_NEVER;
}
