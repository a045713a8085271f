// upstream.c: logging in at a store.  See upstream.h.
//
//   connect -> [secure] -> greeting -> [STLS -> secure] -> USER -> PASS -> done
//
// One line from the store is one step (take_line).  Commands are never
// pipelined: old stores flush their input when a login begins.  For the same
// reason bytes that come unasked end the dialogue: whatever they are, reading
// them as the answer to our next command would be wrong, and behind the
// answer to STLS they are an attack (RFC 2595 section 4).
//
// Once PASS was sent no other server is tried: a store that is slow to open a
// large mailbox must not be asked for it twice.
#include "backends/upstream.h"

#include "proxy/net/tls.h"
#include "proxy/pop3/line.h"
#include "proxy/pop3/reply.h"

enum { STORE_LINE_MAX = 4096 };

static const char *const step_names[UPSTREAM_STEPS] = {
    [UPSTREAM_IDLE] = "nothing",
    [UPSTREAM_CONNECT] = "the connection",
    [UPSTREAM_SECURE] = "the TLS handshake",
    [UPSTREAM_GREETING] = "its greeting",
    [UPSTREAM_STLS] = "its answer to STLS",
    [UPSTREAM_SECURE_AFTER_STLS] = "the TLS handshake after STLS",
    [UPSTREAM_USER] = "its answer to USER",
    [UPSTREAM_PASS] = "its answer to PASS",
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
	timer_clear(upstream->timer);
	upstream->on_done(upstream, result);
}

// Closes the connection; on_closed goes on.
static void hang_up(struct upstream *upstream, enum upstream_result result, bool again)
{
	if (upstream->step == UPSTREAM_CLOSE)
		return;
	upstream->result = result;
	upstream->again = again;
	upstream->step = UPSTREAM_CLOSE;
	timer_clear(upstream->timer);
	stream_close(upstream->stream);
}

// Once the store has heard of a user, its trouble may be with that user's
// mailbox alone, and others are served as before.
static void note_failure(struct upstream *upstream, struct str why)
{
	if (upstream->step < UPSTREAM_USER)
		backend_failed(upstream->backend, upstream->server, net_now(upstream->net), why);
	else
		backend_broke_off(upstream->backend, upstream->server, why);
}

static void fail_server(struct upstream *upstream, const char *what, struct str detail)
{
	char room[512];
	struct text why = TEXT(room);
	text_addf(&why, "%s while waiting for %s", what, step_names[upstream->step]);
	if (detail.len)
		text_addf(&why, ": %.*s", STR_ARG(str_take(detail, 256)));
	note_failure(upstream, text_str(&why));
	hang_up(upstream, UPSTREAM_UNAVAILABLE, upstream->step != UPSTREAM_PASS);
}

static void connect_next(struct upstream *upstream)
{
	struct backend *backend = upstream->backend;
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
	upstream->tried = 0;
	upstream->asked = false;
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
	buf_done(&upstream->answer);
}

static void wait_for_line(struct upstream *upstream, enum upstream_step step)
{
	enter(upstream, step, upstream->backend->options->login_timeout);
}

static void send_command(
    struct upstream *upstream, struct str verb, struct str argument, enum upstream_step step)
{
	char room[REPLY_MAX];
	struct text command = TEXT(room);
	text_add(&command, verb);
	text_add(&command, argument);
	text_add(&command, STR("\r\n"));
	stream_write(upstream->stream, text_str(&command));
	explicit_bzero(room, command.len);
	wait_for_line(upstream, step);
}

static void send_user(struct upstream *upstream)
{
	send_command(upstream, STR("USER "), upstream->claim->user, UPSTREAM_USER);
}

static void send_pass(struct upstream *upstream)
{
	upstream->asked = true;
	send_command(
	    upstream, STR("PASS "), secret_reveal(&upstream->claim->password), UPSTREAM_PASS);
}

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

static void after_greeting(struct upstream *upstream)
{
	backend_answered(upstream->backend, upstream->server);
	if (upstream->backend->options->tls == BACKEND_TLS_stls)
		send_command(upstream, STR("STLS"), STR(""), UPSTREAM_STLS);
	else
		send_user(upstream);
}

// The line is copied: it is shown after the stream is gone.
static void keep_answer(struct upstream *upstream, struct str line)
{
	buf_done(&upstream->answer);
	if (!buf_add(&upstream->answer, str_take(line, REPLY_MAX), REPLY_MAX))
		buf_done(&upstream->answer);
}

static void logged_in(struct upstream *upstream, struct str line)
{
	keep_answer(upstream, line);
	stream_pause(upstream->stream);
	upstream->stream->secret = false;
	finish(upstream, UPSTREAM_LOGGED_IN);
}

static void refused(struct upstream *upstream, struct str line)
{
	keep_answer(upstream, line);
	hang_up(upstream, UPSTREAM_REFUSED, false);
}

// Only the store's yes and no count; anything else is no POP3 server.
static void take_refusal(struct upstream *upstream, struct str line)
{
	bool is_login = upstream->step == UPSTREAM_USER || upstream->step == UPSTREAM_PASS;
	if (reply_status_of(line) != REPLY_STATUS_err)
		fail_server(upstream, "no POP3 reply", line);
	else if (is_login)
		refused(upstream, line);
	else
		fail_server(upstream, "refused", line);
}

static void take_line(struct upstream *upstream, struct str line)
{
	if (reply_status_of(line) != REPLY_STATUS_ok) {
		take_refusal(upstream, line);
		return;
	}
	switch (upstream->step) {
	case UPSTREAM_GREETING: after_greeting(upstream); return;
	case UPSTREAM_STLS: secure(upstream, UPSTREAM_SECURE_AFTER_STLS); return;
	case UPSTREAM_USER: send_pass(upstream); return;
	case UPSTREAM_PASS: logged_in(upstream, line); return;
	case UPSTREAM_IDLE:
	case UPSTREAM_CONNECT:
	case UPSTREAM_SECURE:
	case UPSTREAM_SECURE_AFTER_STLS:
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
	if (used < bytes.len && upstream->step != UPSTREAM_PASS) {
		fail_server(upstream, "bytes that were not asked for", STR(""));
		return bytes.len;
	}
	take_line(upstream, line);
	return used;
}

static void on_connected(struct upstream *upstream)
{
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
		send_user(upstream);
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
