// phase_login.c: a claim was made: ask the store, and act on its answer.
//
// The store is the judge: it alone knows the mailbox and its password.  Its
// refusal is passed on with its text; its absence is [SYS/TEMP], and never looks
// like a wrong password.  Either costs the client one of its attempts.  What it
// costs beyond that is phase_refusal.c's.
// A user's places are taken after the store's yes, so that failing logins of
// strangers cannot use them up.
#include "proxy/session/session_priv.h"

void session_pass_on(struct session *session, bool refused)
{
	char room[REPLY_MAX + 1]; // and NUL
	struct text text = TEXT(room);
	reply_pass_on(&text, upstream_answer(&session->upstream), refused);
	stream_write(&session->client, text_str(&text));
}

void session_login_failed(struct session *session)
{
	claim_forget_password(&session->claim);
	if (++session->failed_logins >= session->listener->options.max_login_attempts)
		session_close(session, REASON_login_attempts, NULL);
	else
		session_enter(session, PHASE_command);
}

static void on_logged_in(struct session *session)
{
	uint64_t key = limits_key_user(str_of(session->backend->name), session->claim.user);
	attempt_succeeded(&session->attempt, net_now(session->house->net));
	session->server = session->upstream.server;
	session_adopt_store(session);
	if (limits_take(session->house->limits, key,
	        session->listener->options.max_connections_per_user,
	        &session->places[PLACE_user])) {
		session_pass_on(session, false);
		claim_forget_password(&session->claim);
		session_enter(session, PHASE_relay);
		return;
	}
	session_close(session, REASON_max_connections_per_user, NULL);
}

static void on_answer(struct upstream *upstream, enum upstream_result result)
{
	struct session *session = upstream->context;
	switch (result) {
	case UPSTREAM_LOGGED_IN: on_logged_in(session); return;
	case UPSTREAM_REFUSED:
	case UPSTREAM_UNAVAILABLE:
	case UPSTREAM_ABANDONED: session_refuse_login(session); return;
	}
}

static const struct addr *local_addr(struct session *session)
{
	if (!session->local.any.sa_family)
		session->local = stream_local_addr(&session->client);
	return &session->local;
}

static void fill_in_credentials(struct session *session)
{
	bool is_told = session->backend->options->client_address != CLIENT_ADDRESS_none;
	session->credentials = (struct credentials){
	    .user = session->claim.user,
	    .password = secret_reveal(&session->claim.password),
	    .client = is_told ? &session->peer : NULL,
	    .local = is_told ? local_addr(session) : NULL,
	    .tls_version = session->tls_version,
	    .session = session->id,
	};
}

static void enter(struct session *session)
{
	struct upstream *upstream = &session->upstream;
	upstream->net = session->house->net;
	upstream->stream = &session->store;
	upstream->timer = &session->timer;
	upstream->backend = session->backend;
	upstream->credentials = &session->credentials;
	upstream->on_done = on_answer;
	upstream->context = session;
	fill_in_credentials(session);
	timer_clear(&session->timer);
	upstream_start(upstream);
}

static void on_due(struct session *session)
{
	upstream_on_due(&session->upstream);
}

const struct phase_ops phase_login = {.enter = enter, .on_due = on_due};
