// session_metrics.c: what a session counts for `GET /metrics`, and under which labels.
//
// At most a few additions for each session and login, none for bytes that are relayed.
#include "proxy/session/session_metrics.h"

#include "proxy/config/types.h"
#include "proxy/session/session_priv.h"

// As tls_version calls them.  What is not listed in these two is `other`.
static const char *const versions[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "other"};

static const char *const mechanisms[] = {
    "USER",
    "APOP",
#define MECHANISM(token, name, claim, function) name,
#include "proxy/pop3/mechanisms.def"
#undef MECHANISM
    "other",
};

enum direction { IN, OUT };
static const char *const directions[] = {[IN] = "in", [OUT] = "out"};

enum {
	NUM_VERSIONS = sizeof(versions) / sizeof(versions[0]),
	NUM_MECHANISMS = sizeof(mechanisms) / sizeof(mechanisms[0]),
	NUM_DIRECTIONS = sizeof(directions) / sizeof(directions[0]),
};

_Static_assert(REASONS <= (int)METRIC_CELLS_sessions_closed, "too many reasons");
_Static_assert(NUM_VERSIONS <= (int)METRIC_CELLS_tls_handshakes &&
                   NUM_VERSIONS <= (int)METRIC_CELLS_tls_resumed,
    "too many versions");
_Static_assert(NUM_MECHANISMS <= (int)METRIC_CELLS_logins_accepted &&
                   NUM_MECHANISMS <= (int)METRIC_CELLS_logins_failed &&
                   NUM_MECHANISMS <= (int)METRIC_CELLS_logins_unjudged,
    "too many mechanisms");
_Static_assert(
    sizeof(((struct listener_options *)0)->login) * 8 <= (int)METRIC_CELLS_logins_by_exception,
    "too many methods");

// ---- labels -------------------------------------------------------------

// One that can be had has a bit.
static const char *method_name(size_t label)
{
	const struct option_word *word = &option_types[TYPE_methods].words[label];
	return word->value ? word->name : NULL;
}

const char *session_metric_label(enum metric metric, size_t label)
{
	switch (metric) {
	case METRIC_sessions_closed: return label < REASONS ? reason_rows[label].token : NULL;
	case METRIC_tls_handshakes:
	case METRIC_tls_resumed: return label < NUM_VERSIONS ? versions[label] : NULL;
	case METRIC_logins_accepted:
	case METRIC_logins_failed:
	case METRIC_logins_unjudged: return label < NUM_MECHANISMS ? mechanisms[label] : NULL;
	case METRIC_logins_by_exception: return method_name(label);
	case METRIC_client_bytes: return label < NUM_DIRECTIONS ? directions[label] : NULL;
	case METRIC_sessions_opened:
	case METRIC_sessions_lost:
	case METRIC_sessions_open:
	case METRIC_workers_started:
	case METRIC_workers_died:
	case METRICS: break;
	}
	return NULL;
}

static size_t find(const char *const *values, size_t num, const char *wanted)
{
	size_t i = 0;
	while (i + 1 < num && !str_eq(str_of(values[i]), str_of(wanted)))
		i++;
	return i;
}

// ---- counting -----------------------------------------------------------

void session_count_opened(void)
{
	metrics_add(METRIC_sessions_opened, 0, 1);
	metrics_add(METRIC_sessions_open, 0, 1);
}

// Last that it is closed: who reads meanwhile finds what it had beside it.
void session_count_closed(const struct session *session)
{
	metrics_add(METRIC_client_bytes, IN, (int64_t)session->client.bytes_in);
	metrics_add(METRIC_client_bytes, OUT, (int64_t)session->client.bytes_out);
	metrics_add(METRIC_sessions_open, 0, -1);
	metrics_add(METRIC_sessions_closed, session->reason, 1);
}

void session_count_handshake(const struct session *session)
{
	size_t version = find(versions, NUM_VERSIONS, session->tls_version);
	metrics_add(METRIC_tls_handshakes, version, 1);
	if (session->tls_resumed)
		metrics_add(METRIC_tls_resumed, version, 1);
}

void session_count_login(const struct session *session)
{
	unsigned methods = session_exceptions(session);
	const struct option_word *words = option_types[TYPE_methods].words;
	metrics_add(
	    METRIC_logins_accepted, find(mechanisms, NUM_MECHANISMS, session->claim.mechanism), 1);
	for (size_t i = 0; methods && words[i].name; i++)
		if (methods & words[i].value)
			metrics_add(METRIC_logins_by_exception, i, 1);
}

void session_count_failed_login(const struct session *session)
{
	metrics_add(
	    METRIC_logins_failed, find(mechanisms, NUM_MECHANISMS, session_mechanism(session)), 1);
}

void session_count_unjudged_login(const struct session *session)
{
	metrics_add(METRIC_logins_unjudged,
	    find(mechanisms, NUM_MECHANISMS, session_mechanism(session)), 1);
}
