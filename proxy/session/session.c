// session.c: a session's birth, its phases and its end.  See session_priv.h.
//
// What happens on the client's stream and the timer is handed to the phase
// the session is in; what each phase does stands in phase_NAME.c.
#include "proxy/session/session_priv.h"

#include <stdlib.h>

#include "backends/backend.h"
#include "proxy/base/die.h"

enum input { NOTHING, LINES, BYTES };
enum deadline { PROXY, HANDSHAKE, PREAUTH, SESSION, STORE, VERIFIER, PENALTY, FLUSH };

enum { FLUSH_MS = 5000 };

#define TO(name) (1u << PHASE_##name)
#define PHASE(name, input, deadline, successors)                                                   \
	[PHASE_##name] = {#name, input, deadline, successors, &phase_##name},
static const struct {
	const char *name;
	enum input input;
	enum deadline deadline;
	unsigned successors;
	const struct phase_ops *ops;
} phases[PHASES] = {
#include "proxy/session/phases.def"
};
#undef PHASE
#undef TO

const char *phase_name(enum phase phase)
{
	return phases[phase].name;
}

static const struct phase_ops *ops_of(const struct session *session)
{
	return phases[session->phase].ops;
}

static void call(void (*what)(struct session *session), struct session *session)
{
	if (what)
		what(session);
}

static void set_deadline(struct session *session, enum deadline deadline)
{
	const struct listener_options *options = &session->listener->options;
	uint64_t now = net_now(session->house->net);
	switch (deadline) {
	case PROXY: timer_set(&session->timer, options->proxy_timeout); return;
	case HANDSHAKE: timer_set(&session->timer, options->handshake_timeout); return;
	case PREAUTH:
		timer_set(
		    &session->timer, session->preauth_end > now ? session->preauth_end - now : 0);
		return;
	case SESSION: timer_set(&session->timer, options->session_timeout); return;
	case FLUSH: timer_set(&session->timer, FLUSH_MS); return;
	case STORE:
	case VERIFIER:
	case PENALTY: return;
	}
}

static bool is_clients_time(enum deadline deadline)
{
	return deadline != STORE && deadline != VERIFIER && deadline != PENALTY;
}

// Adds the time in the phase that ends; the store's time and what we have the
// client wait are not the client's.
static void account_time(struct session *session)
{
	uint64_t now = net_now(session->house->net);
	uint64_t spent = now - session->entered;
	session->phase_ms[session->phase] += (uint32_t)spent;
	if (!is_clients_time(phases[session->phase].deadline))
		session->preauth_end += spent;
	session->entered = now;
}

static void be_in(struct session *session, enum phase phase)
{
	session->phase = phase;
	session_log_phase(session);
	set_deadline(session, phases[phase].deadline);
	if (phases[phase].input == NOTHING)
		stream_pause(&session->client);
	call(ops_of(session)->enter, session);
	if (session->phase == phase && phases[phase].input != NOTHING)
		stream_resume(&session->client);
}

void session_enter(struct session *session, enum phase phase)
{
	BUG_ON(!(phases[session->phase].successors & 1u << phase));
	account_time(session);
	call(ops_of(session)->leave, session);
	be_in(session, phase);
}

void session_close(struct session *session, enum reason reason, const char *why)
{
	if (session_is_closing(session))
		return;
	session->last_phase = session->phase;
	session->reason = reason;
	session->why = why;
	session_enter(session, PHASE_closing);
}

void session_be_at_home(struct session *session, size_t backend)
{
	session->home = backend;
	session->backend = session->house->snapshot->backends[backend];
}

void session_reply(struct session *session, enum reply reply)
{
	stream_write(&session->client, reply_line(reply));
}

const struct verifiers *session_verifiers(const struct session *session)
{
	return &session->house->snapshot->verifiers[session->listener_index];
}

// How safe a client's connection is, or can become.
struct safety {
	bool has_tls;
	bool has_certificate;
};

// Without TLS nobody can be bound to it, and who must be is not asked for NTLM.
static unsigned methods_within(const struct session *session, struct safety safety)
{
	const struct listener_options *options = &session->listener->options;
	bool is_bound = options->ntlm_channel_binding == LISTENER_BINDING_require;
	unsigned methods = options->login | session->verdict.methods;
	if (is_bound && !safety.has_tls)
		methods &= ~(unsigned)LOGIN_METHOD_ntlm;
	if (!safety.has_tls)
		methods &= ~(unsigned)(LOGIN_METHOD_basic_tls | LOGIN_METHOD_ntlm_tls |
		                       LOGIN_METHOD_digest_tls);
	if (!safety.has_certificate)
		methods &= ~(unsigned)LOGIN_METHOD_external;
	return methods;
}

static unsigned claims_within(const struct session *session, struct safety safety)
{
	unsigned methods = methods_within(session, safety), claims = 0;
	if (methods & (LOGIN_METHOD_basic | LOGIN_METHOD_basic_tls))
		claims |= CLAIM_plain;
	if (methods & (LOGIN_METHOD_ntlm | LOGIN_METHOD_ntlm_tls))
		claims |= CLAIM_ntlm;
	if (methods & (LOGIN_METHOD_digest | LOGIN_METHOD_digest_tls))
		claims |= CLAIM_digest;
	if (methods & LOGIN_METHOD_external)
		claims |= CLAIM_external;
	claims &= verifiers_claims(session_verifiers(session));
	bool has_msn = claims & CLAIM_ntlm && session->listener->options.ntlm_msn;
	return has_msn ? claims | CLAIM_msn : claims;
}

unsigned session_claims(const struct session *session)
{
	return claims_within(
	    session, (struct safety){session->tls_version != NULL, session->has_certificate});
}

unsigned session_claims_at_best(const struct session *session)
{
	const struct listener_options *options = &session->listener->options;
	return claims_within(session, (struct safety){options->tls != LISTENER_TLS_none,
	                                  options->client_certs != CLIENT_CERTS_off});
}

static void forget_judgement(struct session *session)
{
	if (!session->verification)
		return;
	verification_done(session->verification);
	free(session->verification);
	session->verification = NULL;
}

void session_forget_secrets(struct session *session)
{
	claim_forget_password(&session->claim);
	session_end_mechanism(session);
	forget_judgement(session);
}

void session_begin_pending(struct session *session)
{
	if (!session->pending)
		session->pending = xcalloc(1, sizeof(*session->pending));
}

void session_end_pending(struct session *session)
{
	if (!session->pending)
		return;
	attempt_end(&session->pending->attempt);
	upstream_done(&session->pending->upstream);
	free(session->pending);
	session->pending = NULL;
}

void session_forget_login(struct session *session)
{
	free((char *)session->user.at);
	session->user = (struct str){0};
	session_forget_secrets(session);
	session->judge = NULL;
	claim_done(&session->claim);
}

// ---- the end ------------------------------------------------------------

void session_handle_closed(struct session *session)
{
	if (--session->handles)
		return;
	struct sessions *house = session->house;
	session_forget_login(session);
	route_done(&session->counted);
	route_done(&session->route);
	free((char *)session->timestamp.at);
	free(session->verdict.name);
	session_move(session, NULL);
	free(session);
	if (!sessions_num(house) && house->on_last_ended)
		house->on_last_ended(house);
}

// Handshakes that end change their list.
void sessions_end(struct sessions *sessions)
{
	while (sessions->half_open.first)
		session_close(sessions->half_open.first, REASON_shutdown, NULL);
	while (sessions->shaking.first)
		session_close(sessions->shaking.first, REASON_shutdown, NULL);
	for (struct session *each = sessions->others.first; each; each = each->next)
		session_close(each, REASON_shutdown, NULL);
}

// ---- what happens -------------------------------------------------------

static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct session *session = stream->context;
	return ops_of(session)->on_bytes(session, bytes);
}

// A handshake that breaks is told apart from a connection that breaks.
static void on_failed(struct session *session)
{
	enum reason reason = session->phase == PHASE_handshake ? session_handshake_failure(session)
	                                                       : REASON_client_failed;
	if (session_is_closing(session))
		stream_close(&session->client);
	else
		session_close(session, reason, stream_error(&session->client));
}

static void on_timer_closed(struct timer *timer)
{
	session_handle_closed((void *)((char *)timer - offsetof(struct session, timer)));
}

static void on_closed(struct session *session)
{
	for (size_t i = 0; i < PLACES; i++)
		limits_give_back(session->house->limits, &session->places[i]);
	session_end_pending(session);
	timer_close(&session->timer, on_timer_closed);
	session_handle_closed(session);
}

static void on_event(struct stream *stream, enum stream_event event)
{
	struct session *session = stream->context;
	switch (event) {
	case STREAM_SECURED: call(ops_of(session)->on_secured, session); return;
	case STREAM_ENDED: call(ops_of(session)->on_ended, session); return;
	case STREAM_DRAINED: call(ops_of(session)->on_drained, session); return;
	case STREAM_FAILED: on_failed(session); return;
	case STREAM_CLOSED: on_closed(session); return;
	case STREAM_CONNECTED: return;
	}
}

static const struct stream_owner client_owner = {on_bytes, on_event};

static void on_due(struct timer *timer)
{
	struct session *session = (void *)((char *)timer - offsetof(struct session, timer));
	ops_of(session)->on_due(session);
}

// ---- birth --------------------------------------------------------------

static void join_house(struct session *session, struct sessions *house)
{
	session->house = house;
	session->id = house->next_id++;
	session_move(session, &house->others);
}

static bool take_place_at_listener(struct session *session)
{
	uint64_t key = limits_key_listener(str_of(session->listener->name));
	return limits_take(session->house->limits, key, session->listener->options.max_connections,
	    &session->places[PLACE_listener]);
}

static bool take_place_of_ip(struct session *session)
{
	uint64_t key = limits_key_ip(str_of(session->listener->name), &session->peer);
	return limits_take(session->house->limits, key,
	    session->listener->options.max_connections_per_ip, &session->places[PLACE_ip]);
}

// The reason to refuse the address for what it does or did, or REASONS.
static enum reason judge_ip(struct session *session)
{
	struct ledger *ledger = session->house->ledger;
	const struct listener_options *options = &session->listener->options;
	uint64_t now = net_now(session->house->net);
	if (!take_place_of_ip(session))
		return REASON_max_connections_per_ip;
	if (penalties_is_banned(ledger, options, &session->peer, now))
		return REASON_banned;
	if (!ledger_take_connection(ledger, str_of(session->listener->name), &session->peer,
	        options->max_connection_rate_per_ip, now))
		return REASON_connection_rate;
	return REASONS;
}

// The phase of a client whose address is known.
static enum phase first_phase(const struct session *session)
{
	bool implicit = session->listener->options.tls == LISTENER_TLS_implicit;
	return implicit ? PHASE_handshake : PHASE_greeting;
}

void session_admit(struct session *session)
{
	enum phase first = first_phase(session);
	enum reason refusal = judge_ip(session);
	session->preauth_end =
	    net_now(session->house->net) + session->listener->options.preauth_timeout;
	if (refusal != REASONS)
		session_close(session, refusal, NULL);
	else if (!session_judge(session))
		return;
	else if (session->phase == first)
		be_in(session, first);
	else
		session_enter(session, first);
}

// Behind a load balancer the client is not known yet.
static void begin(struct session *session)
{
	bool behind = session->listener->options.proxy_from.num > 0;
	session->phase = behind ? PHASE_proxy : first_phase(session);
	if (!take_place_at_listener(session))
		session_close(session, REASON_max_connections, NULL);
	else if (behind)
		be_in(session, PHASE_proxy);
	else
		session_admit(session);
}

void session_start(struct sessions *sessions, int fd, const struct addr *peer, size_t listener)
{
	const struct config *config = sessions->snapshot->config;
	struct session *session = xcalloc(1, sizeof(*session));
	join_house(session, sessions);
	session_count_opened();
	session->listener = &config->listeners[listener];
	session->listener_index = listener;
	session_be_at_home(session, session->listener->backend);
	session->peer = *peer;
	session->began = session->entered = net_now(sessions->net);
	session->handles = 2;
	timer_init(&session->timer, sessions->net, on_due);
	bool opened = stream_open(&session->client, sessions->net, fd, &client_owner, session);
	session->client.secret = true;
	session->phase = PHASE_greeting;
	if (opened)
		begin(session);
	else
		session_close(session, REASON_client_failed, stream_error(&session->client));
}
