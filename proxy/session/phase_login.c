// phase_login.c: a claim was made: log in at the store, and act on its answer.
//
// Mostly the store is the judge: it alone knows the mailbox and its password.  Its
// refusal is passed on with its text; its absence is [SYS/TEMP], and never looks
// like a wrong password.  Either costs the client one of its attempts.  What it
// costs beyond that is phase_refusal.c's.
// Where our own verifiers have judged before (phase_verify.c), a store that
// does not let the user in is at fault, or what users.db keeps for it is.
// A user's places are taken after the store's yes, so that failing logins of
// strangers cannot use them up.
#include "proxy/session/session_priv.h"

#include "certs/end_point.h"
#include "proxy/base/die.h"

void session_pass_on(struct session *session, bool refused)
{
	char room[REPLY_MAX + 1]; // and NUL
	struct text text = TEXT(room);
	reply_pass_on(&text, upstream_answer(&session->pending->upstream), refused);
	stream_write(&session->client, text_str(&text));
}

void session_login_failed(struct session *session)
{
	BUG_ON(session_waits_for_client(session));
	session_forget_secrets(session);
	session->backend = session->house->snapshot->backends[session->home];
	if (++session->failed_logins >= session->listener->options.max_login_attempts)
		session_close(session, REASON_login_attempts, NULL);
	else
		session_enter(session, PHASE_command);
}

static void on_logged_in(struct session *session)
{
	uint64_t key =
	    limits_key_user(str_of(session->backend->name), session_route(session)->name);
	attempt_succeeded(&session->pending->attempt, net_now(session->house->net));
	session->server = session->pending->upstream.server;
	session_adopt_store(session);
	if (limits_take(session->house->limits, key,
	        session->listener->options.max_connections_per_user,
	        &session->places[PLACE_user])) {
		session_count_login(session);
		session_pass_on(session, false);
		session_forget_secrets(session);
		session_end_pending(session);
		session_enter(session, PHASE_relay);
		return;
	}
	session_close(session, REASON_max_connections_per_user, NULL);
}

// A dialogue that has to do with a challenge alone is not the end of a login; one
// that ends while the client computes its answer is seen when that has come.
static void on_answer(struct upstream *upstream, enum upstream_result result)
{
	struct session *session = upstream->context;
	if (session->phase == PHASE_challenge) {
		session_challenge_over(session);
		return;
	}
	if (session->phase != PHASE_login)
		return;
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

void session_dial(struct session *session, struct str token)
{
	bool is_told = session->backend->options->client_address != CLIENT_ADDRESS_none;
	struct upstream *upstream = &session->pending->upstream;
	session->pending->credentials = (struct credentials){
	    .token = token,
	    .client = is_told ? &session->peer : NULL,
	    .local = is_told ? local_addr(session) : NULL,
	    .tls_version = session->tls_version,
	    .session = session->id,
	};
	upstream->net = session->house->net;
	upstream->stream = &session->store;
	upstream->timer = &session->timer;
	upstream->backend = session->backend;
	upstream->credentials = &session->pending->credentials;
	upstream->on_done = on_answer;
	upstream->context = session;
	upstream->end_point = end_point_hash;
	timer_clear(&session->timer);
}

// What the client has said; or what users.db keeps, when it has not, or that alone
// is wanted.
static struct str password_for_store(const struct session *session)
{
	const struct verification *judged = session->verification;
	bool is_said = session->claim.kind == CLAIM_plain &&
	               session->backend->options->login != BACKEND_LOGIN_stored;
	if (is_said)
		return secret_reveal(&session->claim.password);
	return judged ? secret_reveal(&judged->record.backend_password) : STR("");
}

static void log_in(struct session *session)
{
	session_dial(session, STR(""));
	session->pending->credentials.user = session_route(session)->name;
	session->pending->credentials.password = password_for_store(session);
	session->pending->credentials.is_verified = session->judge;
	upstream_start(&session->pending->upstream);
}

// What the client said at first is not who it is: the store that gave the challenge
// need not be the one that the map names for this user.  That is nobody's failure.
static void leave_challenger(struct session *session)
{
	attempt_end(&session->pending->attempt);
	session_log_login_failed(
	    session, STR("the map leads to another backend than the one that gave the challenge"));
	session->pending->tell_at = 0;
	session_abandon_challenge(session, REPLY_unavailable);
}

static void relay(struct session *session)
{
	if (!session_waits_for_client(session))
		session_cannot_judge(session, "the store has not waited for the client's answer");
	else if (session->pending->upstream.backend != session->backend)
		leave_challenger(session);
	else
		upstream_relay(&session->pending->upstream, secret_reveal(&session->claim.token));
}

static void enter(struct session *session)
{
	session->pending->own_reply = REPLIES;
	if (session->claim.token.at)
		relay(session);
	else
		log_in(session);
}

static void on_due(struct session *session)
{
	upstream_on_due(&session->pending->upstream);
}

const struct phase_ops phase_login = {.enter = enter, .on_due = on_due};
