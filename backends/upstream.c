// upstream.c: logging in at a store.  See upstream.h.
//
//   connect -> [PROXY] -> [secure] -> greeting -> [STLS -> secure] -> login -> done
//                                                                    |     ^
//                                                          challenge +-> client
//
// One line from the store is one step (take_line).  Commands are pipelined for
// stores only that are said to take them so, and only those of the login: old stores
// flush their input when one begins.  Such a store's first answer is acknowledged at
// once, since it may send the second only then.  Bytes that come unasked end the
// dialogue: whatever they are, reading them as the answer to our next command would be
// wrong, and behind the answer to STLS they are an attack (RFC 2595 section 4).
//
// Once the password was sent no other server is tried: a store that is slow to open
// a large mailbox must not be asked for it twice.
#include "backends/upstream.h"

#include <sys/random.h>
#include <time.h>

#include "proxy/base/die.h"
#include "proxy/net/proxy_header_write.h"
#include "proxy/pop3/line.h"
#include "proxy/pop3/reply.h"

enum { ABANDON_MS = 2000 }; // for a store's answer that nobody needs

static const char *const step_names[UPSTREAM_STEPS] = {
    [UPSTREAM_IDLE] = "nothing",
    [UPSTREAM_CONNECT] = "the connection",
    [UPSTREAM_SECURE] = "the TLS handshake",
    [UPSTREAM_GREETING] = "its greeting",
    [UPSTREAM_STLS] = "its answer to STLS",
    [UPSTREAM_SECURE_AFTER_STLS] = "the TLS handshake after STLS",
    [UPSTREAM_CLIENT] = "the client",
    [UPSTREAM_ABANDON] = "its answer to *",
    [UPSTREAM_CLOSE] = "the connection's end",
};

static const struct stream_owner upstream_owner;

static void enter(struct upstream *upstream, enum upstream_step step, uint64_t ms)
{
	upstream->step = step;
	timer_set(upstream->timer, ms);
}

static void finish(struct upstream *upstream, enum upstream_result result)
{
	upstream->step = UPSTREAM_IDLE;
	upstream->on_done(upstream, result);
}

// Closes the connection; on_closed goes on.  While it is the client's turn the timer is
// the owner's, and stays so.
static void hang_up(struct upstream *upstream, enum upstream_result result, bool again)
{
	if (upstream->step == UPSTREAM_CLOSE)
		return;
	if (upstream->step != UPSTREAM_CLIENT)
		timer_clear(upstream->timer);
	upstream->result = result;
	upstream->again = again;
	upstream->step = UPSTREAM_CLOSE;
	stream_close(upstream->stream);
}

// Once the store has heard of a user, its trouble may be with that user's
// mailbox alone, and others are served as before.
static void note_failure(struct upstream *upstream, struct str why)
{
	if (upstream->login.stage < LOGIN_NAMED)
		backend_failed(upstream->backend, upstream->server, net_now(upstream->net), why);
	else
		backend_broke_off(upstream->backend, upstream->server, why);
}

static const char *awaited(const struct upstream *upstream)
{
	return upstream->step == UPSTREAM_LOGIN ? upstream->login.awaited
	                                        : step_names[upstream->step];
}

static void fail_server(struct upstream *upstream, const char *what, struct str detail)
{
	char room[512];
	struct text why = TEXT(room);
	if (upstream->step == UPSTREAM_ABANDON) {
		hang_up(upstream, UPSTREAM_ABANDONED, false);
		return;
	}
	text_addf(&why, "%s while waiting for %s", what, awaited(upstream));
	if (detail.len)
		text_addf(&why, ": %.*s", STR_ARG(str_take(detail, 256)));
	note_failure(upstream, text_str(&why));
	hang_up(upstream, UPSTREAM_UNAVAILABLE, upstream->login.stage < LOGIN_BOUND);
}

// The line is copied: it is shown after the stream is gone.
static void keep_answer(struct upstream *upstream, struct str line)
{
	buf_done(&upstream->answer);
	if (!buf_add(&upstream->answer, str_take(line, REPLY_MAX), REPLY_MAX))
		buf_done(&upstream->answer);
}

// ---- servers ------------------------------------------------------------

// What NTLM needs of the world ([MS-NLMP] section 2.2.2.7): the time since 1601 and
// random bytes.
static void seed_ntlm(struct login *login)
{
	const uint64_t from_1601_to_1970 = 11644473600;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	login->filetime =
	    ((uint64_t)now.tv_sec + from_1601_to_1970) * 10000000 + (uint64_t)now.tv_nsec / 100;
	BUG_ON(getrandom(login->nonce, sizeof(login->nonce), 0) != sizeof(login->nonce));
}

static struct str without_line_end(struct str line)
{
	return str_take(line, line.len - 2);
}

// False when no server can be told this login; the owner knows then.
static bool prepare_login(struct upstream *upstream)
{
	struct login *login = &upstream->login;
	login->options = upstream->backend->options;
	login->credentials = upstream->credentials;
	login->master_password = secret_reveal(&upstream->backend->master_password);
	if (login->options->login == BACKEND_LOGIN_ntlm)
		seed_ntlm(login);
	enum login_result result = login_prepare(login);
	if (result == LOGIN_SEND)
		return true;
	if (result == LOGIN_REFUSED)
		keep_answer(upstream, without_line_end(reply_line(REPLY_claim)));
	else
		backend_not_asked(upstream->backend, str_of(login->why));
	finish(upstream, result == LOGIN_REFUSED ? UPSTREAM_REFUSED : UPSTREAM_UNAVAILABLE);
	return false;
}

static void connect_next(struct upstream *upstream)
{
	struct backend *backend = upstream->backend;
	if (!prepare_login(upstream))
		return;
	upstream->server = backend_next(backend, net_now(upstream->net), upstream->tried);
	if (!upstream->server) {
		finish(upstream, UPSTREAM_UNAVAILABLE);
		return;
	}
	upstream->tried |= 1u << (upstream->server - backend->servers);
	enter(upstream, UPSTREAM_CONNECT, backend->options->connect_timeout);
	stream_connect(
	    upstream->stream, upstream->net, &upstream->server->addr, &upstream_owner, upstream);
	upstream->stream->secret = true;
}

static void connect_first(struct net_task *task)
{
	connect_next((struct upstream *)((char *)task - offsetof(struct upstream, task)));
}

void upstream_start(struct upstream *upstream)
{
	BUG_ON(upstream->step != UPSTREAM_IDLE);
	upstream->tried = 0;
	upstream->login.stage = LOGIN_FRESH;
	upstream->task.run = connect_first;
	upstream->step = UPSTREAM_CONNECT;
	buf_done(&upstream->answer);
	net_defer(upstream->net, &upstream->task);
}

bool upstream_cancel(struct upstream *upstream)
{
	bool on_loop = upstream->step != UPSTREAM_IDLE && !upstream->task.previous;
	net_cancel(upstream->net, &upstream->task);
	upstream->step = UPSTREAM_IDLE;
	return on_loop;
}

void upstream_done(struct upstream *upstream)
{
	login_done(&upstream->login);
	buf_done(&upstream->answer);
}

static void wait_for_line(struct upstream *upstream, enum upstream_step step)
{
	enter(upstream, step, upstream->backend->options->login_timeout);
}

// ---- the login ----------------------------------------------------------

static void logged_in(struct upstream *upstream, struct str line)
{
	keep_answer(upstream, line);
	stream_pause(upstream->stream);
	upstream->stream->secret = false;
	timer_clear(upstream->timer);
	finish(upstream, UPSTREAM_LOGGED_IN);
}

static void refused(struct upstream *upstream, struct str line)
{
	keep_answer(upstream, line);
	hang_up(upstream, UPSTREAM_REFUSED, false);
}

// From now on the timer is the owner's.
static void hand_over(struct upstream *upstream, struct str challenge)
{
	upstream->step = UPSTREAM_CLIENT;
	timer_clear(upstream->timer);
	upstream->on_challenge(upstream, challenge);
}

// A line that may repeat what proves the user is not for the log.
static void broken(struct upstream *upstream, struct str line)
{
	bool is_told = upstream->login.stage == LOGIN_ASKED ||
	               reply_status_of(line) == REPLY_STATUS_continuation;
	fail_server(upstream, upstream->login.why, is_told ? STR("") : line);
}

// Does what the login wants, `said` being its words and `line` the store's.
static void act(
    struct upstream *upstream, enum login_result result, struct text *said, struct str line)
{
	switch (result) {
	case LOGIN_SEND:
		stream_write(upstream->stream, text_str(said));
		wait_for_line(upstream, UPSTREAM_LOGIN);
		break;
	case LOGIN_WAIT: wait_for_line(upstream, UPSTREAM_LOGIN); break;
	case LOGIN_CHALLENGED: hand_over(upstream, text_str(said)); break;
	case LOGIN_ACCEPTED: logged_in(upstream, line); break;
	case LOGIN_REFUSED: refused(upstream, line); break;
	case LOGIN_BROKEN: broken(upstream, line); break;
	}
	explicit_bzero(said->at, said->len);
}

// To the certificate that the store has shown, so that nobody who stands between us
// can use the login elsewhere (RFC 5929 section 4).
static void bind_ntlm(struct upstream *upstream)
{
	struct login *login = &upstream->login;
	struct tls *tls = upstream->stream->tls;
	uint8_t hash[TLS_END_POINT_MAX];
	size_t len =
	    tls && upstream->end_point ? upstream->end_point(tls_peer_certificate(tls), hash) : 0;
	login->is_bound = len > 0;
	if (login->is_bound)
		ntlm_binding_hash((struct str){(const char *)hash, len}, login->binding);
}

static void begin_login(struct upstream *upstream)
{
	char room[LOGIN_LINE_MAX];
	struct text said = TEXT(room);
	upstream->step = UPSTREAM_LOGIN;
	if (upstream->login.options->login == BACKEND_LOGIN_ntlm)
		bind_ntlm(upstream);
	act(upstream, login_begin(&upstream->login, &said), &said, STR(""));
}

static void take_login_line(struct upstream *upstream, struct str line)
{
	char room[LOGIN_LINE_MAX];
	struct text said = TEXT(room);
	act(upstream, login_take(&upstream->login, line, &said), &said, line);
}

// The timer is ours again.  A store that is gone by then is on its way to be told as
// such.
static void end_clients_turn(struct upstream *upstream)
{
	BUG_ON(upstream->step != UPSTREAM_CLIENT && upstream->step != UPSTREAM_CLOSE);
	timer_clear(upstream->timer);
}

void upstream_relay(struct upstream *upstream, struct str token)
{
	char room[LOGIN_LINE_MAX];
	struct text said = TEXT(room);
	end_clients_turn(upstream);
	if (upstream->step == UPSTREAM_CLOSE)
		return;
	upstream->step = UPSTREAM_LOGIN;
	act(upstream, login_relay(&upstream->login, token, &said), &said, STR(""));
}

void upstream_abandon(struct upstream *upstream)
{
	end_clients_turn(upstream);
	if (upstream->step == UPSTREAM_CLOSE) {
		upstream->result = UPSTREAM_ABANDONED;
		return;
	}
	stream_write(upstream->stream, STR("*\r\n"));
	enter(upstream, UPSTREAM_ABANDON, ABANDON_MS);
}

// ---- up to the login ----------------------------------------------------

static const char *name_to_verify(const struct upstream *upstream)
{
	const char *name = upstream->backend->options->verify_name;
	return name[0] ? name : upstream->server->host;
}

static void secure(struct upstream *upstream, enum upstream_step step)
{
	enter(upstream, step, upstream->backend->options->connect_timeout);
	stream_secure_client(upstream->stream, upstream->backend->client, name_to_verify(upstream));
}

static void after_greeting(struct upstream *upstream, struct str line)
{
	if (!login_greeting(&upstream->login, line)) {
		fail_server(upstream, upstream->login.why, line);
		return;
	}
	backend_answered(upstream->backend, upstream->server);
	if (upstream->backend->options->tls == BACKEND_TLS_stls) {
		stream_write(upstream->stream, STR("STLS\r\n"));
		wait_for_line(upstream, UPSTREAM_STLS);
	} else {
		begin_login(upstream);
	}
}

static bool is_yes(struct upstream *upstream, struct str line)
{
	enum reply_status status = reply_status_of(line);
	if (status != REPLY_STATUS_ok)
		fail_server(
		    upstream, status == REPLY_STATUS_err ? "refused" : "no POP3 reply", line);
	return status == REPLY_STATUS_ok;
}

static void take_line(struct upstream *upstream, struct str line)
{
	switch (upstream->step) {
	case UPSTREAM_GREETING:
		if (is_yes(upstream, line))
			after_greeting(upstream, line);
		return;
	case UPSTREAM_STLS:
		if (is_yes(upstream, line))
			secure(upstream, UPSTREAM_SECURE_AFTER_STLS);
		return;
	case UPSTREAM_LOGIN: take_login_line(upstream, line); return;
	case UPSTREAM_ABANDON: hang_up(upstream, UPSTREAM_ABANDONED, false); return;
	case UPSTREAM_IDLE:
	case UPSTREAM_CONNECT:
	case UPSTREAM_SECURE:
	case UPSTREAM_SECURE_AFTER_STLS:
	case UPSTREAM_CLIENT:
	case UPSTREAM_CLOSE:
	case UPSTREAM_STEPS: return;
	}
}

// Before TLS is up nothing may wait behind a line; once logged in, what
// follows is the relay's.
static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct upstream *upstream = stream->context;
	struct str line;
	size_t used;
	switch (line_cut_lenient(bytes, STORE_LINE_MAX, &line, &used)) {
	case LINE_MORE: return 0;
	case LINE_FOUND: break;
	case LINE_TOO_LONG:
	case LINE_BARE_LF:
	case LINE_BARE_CR:
	case LINE_NUL: fail_server(upstream, "no POP3 reply", STR("")); return bytes.len;
	}
	if (upstream->step == UPSTREAM_CLIENT ||
	    (used < bytes.len && !upstream_has_asked(upstream))) {
		fail_server(upstream, "bytes that were not asked for", STR(""));
		return bytes.len;
	}
	if (used == bytes.len && upstream->login.ahead)
		stream_acknowledge(stream);
	take_line(upstream, line);
	return used;
}

// What is known of the client, for a store behind popgate as behind any other
// load balancer.
static void send_proxy_header(struct upstream *upstream)
{
	char room[PROXY_HEADER_ROOM];
	struct text header = TEXT(room);
	const struct credentials *credentials = upstream->credentials;
	switch (upstream->backend->options->client_address) {
	case CLIENT_ADDRESS_none:
	case CLIENT_ADDRESS_xclient: return;
	case CLIENT_ADDRESS_proxy_v1:
		proxy_header_write_v1(credentials->client, credentials->local, &header);
		break;
	case CLIENT_ADDRESS_proxy_v2:
		proxy_header_write_v2(
		    credentials->client, credentials->local, credentials->tls_version, &header);
		break;
	}
	stream_write(upstream->stream, text_str(&header));
}

static void on_connected(struct upstream *upstream)
{
	send_proxy_header(upstream);
	if (upstream->backend->options->tls == BACKEND_TLS_tls)
		secure(upstream, UPSTREAM_SECURE);
	else
		wait_for_line(upstream, UPSTREAM_GREETING);
}

static void on_secured(struct upstream *upstream)
{
	if (upstream->step == UPSTREAM_SECURE)
		wait_for_line(upstream, UPSTREAM_GREETING);
	else
		begin_login(upstream);
}

static void on_closed(struct upstream *upstream)
{
	if (upstream->again)
		connect_next(upstream);
	else
		finish(upstream, upstream->result);
}

static void on_event(struct stream *stream, enum stream_event event)
{
	struct upstream *upstream = stream->context;
	switch (event) {
	case STREAM_CONNECTED: on_connected(upstream); return;
	case STREAM_SECURED: on_secured(upstream); return;
	case STREAM_ENDED: fail_server(upstream, "closed", STR("")); return;
	case STREAM_FAILED: fail_server(upstream, "broken", str_of(stream_error(stream))); return;
	case STREAM_CLOSED: on_closed(upstream); return;
	case STREAM_DRAINED: return;
	}
}

static const struct stream_owner upstream_owner = {on_bytes, on_event};

void upstream_on_due(struct upstream *upstream)
{
	fail_server(upstream, "too slow", STR(""));
}
