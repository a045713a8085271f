// phase_relay.c: the login is over; two pumps carry bytes both ways.
//
// popgate no longer reads commands here, with one exception: to tell an
// orderly end from a lost store it looks at how the last line of either side
// begins.  The store may close once the client has said QUIT, or has closed
// its own side, and the store's last lines are such as end a session: a status
// behind another answer, or the end of a multi-line one; or when nothing was
// asked.  Any other end resets the client, so that a message cut short cannot be
// taken for a whole one.
//
// A client's half-close is passed on, unless it said QUIT, and its answers still
// come: scripts that send `RETR 1`, `QUIT` and close their side get their whole
// message.
#include "proxy/session/session_priv.h"

static size_t relay(struct session *session, struct pump *pump, struct str bytes)
{
	session->active = net_now(session->house->net);
	return pump_bytes(pump, bytes);
}

static bool client_said_quit(const struct session *session)
{
	return pump_last_line_is(&session->up, STR("QUIT"));
}

static bool client_is_done(const struct session *session)
{
	return session->up.ended || client_said_quit(session);
}

static bool is_any(bool (*is)(const struct pump *pump, struct str prefix), const struct pump *pump)
{
	return is(pump, STR("+OK")) || is(pump, STR("-ERR")) || is(pump, STR(".\r\n")) ||
	       is(pump, STR(".\n"));
}

// A line of a mail may begin as a status does; but what stands before the
// answer to QUIT is another answer.
static bool store_is_done(const struct session *session)
{
	const struct pump *down = &session->down;
	return is_any(pump_last_line_is, down) &&
	       (pump_is_at_first_line(down) || pump_last_line_is(down, STR(".")) ||
	           is_any(pump_previous_line_is, down));
}

// Who logs in and leaves lacks no answer.
static bool is_untouched(const struct session *session)
{
	return !session->up.bytes && !session->down.bytes;
}

static void end_in_order(struct session *session)
{
	session->down.ended = true;
	stream_finish(&session->client);
	if (!stream_queued(&session->client))
		session_close(session, REASON_done, NULL);
}

static void on_store_gone(struct session *session, const char *why)
{
	if (session_is_closing(session) || session->down.ended)
		return;
	if (client_is_done(session) && (is_untouched(session) || store_is_done(session)))
		end_in_order(session);
	else
		session_close(session, REASON_store_lost, why);
}

// ---- the client's side --------------------------------------------------

static size_t on_client_bytes(struct session *session, struct str bytes)
{
	return relay(session, &session->up, bytes);
}

// Behind QUIT the store ends the session by itself, and one that is told of the
// client's end before may drop what it has yet to answer: Dovecot does under TLS.
static void on_client_ended(struct session *session)
{
	if (!client_said_quit(session))
		pump_end(&session->up);
}

static void on_client_drained(struct session *session)
{
	session->active = net_now(session->house->net);
	if (session->down.ended)
		session_close(session, REASON_done, NULL);
	else
		pump_drained(&session->down);
}

static void on_due(struct session *session)
{
	uint64_t idle = net_now(session->house->net) - session->active;
	uint64_t timeout = session->listener->options.session_timeout;
	bool is_between_answers = !session->down.bytes || store_is_done(session);
	if (idle < timeout)
		timer_set(&session->timer, timeout - idle);
	else
		session_close(session,
		    is_between_answers ? REASON_session_timeout : REASON_session_stalled, NULL);
}

// ---- the store's side ---------------------------------------------------

static void on_store_ended(struct session *session)
{
	bool truncated = session->store.truncated;
	on_store_gone(
	    session, truncated ? "without TLS's close_notify" : "in the middle of the session");
}

// The answer to QUIT and the store's end mostly come together.  They leave
// together too: one system call and one packet less.
static size_t relay_last(struct session *session, struct str bytes)
{
	session->active = net_now(session->house->net);
	size_t used = pump_last_bytes(&session->down, bytes);
	on_store_ended(session);
	stream_settle(&session->client);
	return used;
}

static size_t on_store_bytes(struct stream *stream, struct str bytes)
{
	struct session *session = stream->context;
	if (session_is_closing(session))
		return bytes.len;
	if (client_is_done(session) && stream_is_at_end(stream))
		return relay_last(session, bytes);
	return relay(session, &session->down, bytes);
}

static void on_store_drained(struct session *session)
{
	session->active = net_now(session->house->net);
	if (!session_is_closing(session))
		pump_drained(&session->up);
}

static void on_store_event(struct stream *stream, enum stream_event event)
{
	struct session *session = stream->context;
	switch (event) {
	case STREAM_ENDED: on_store_ended(session); return;
	case STREAM_FAILED: on_store_gone(session, stream_error(stream)); return;
	case STREAM_DRAINED: on_store_drained(session); return;
	case STREAM_CLOSED: session_handle_closed(session); return;
	case STREAM_CONNECTED:
	case STREAM_SECURED: return;
	}
}

static const struct stream_owner store_owner = {on_store_bytes, on_store_event};

void session_adopt_store(struct session *session)
{
	session->handles++;
	session->store.owner = &store_owner;
	session->store.context = session;
}

static void enter(struct session *session)
{
	size_t mark = session->listener->options.relay_buffer;
	session->up = pump_between(&session->client, &session->store, mark);
	session->down = pump_between(&session->store, &session->client, mark);
	session->active = net_now(session->house->net);
	session->client.read_max = session->store.read_max = NET_RAW_SIZE;
	session->client.secret = false;
	stream_resume(&session->store);
}

const struct phase_ops phase_relay = {
    .enter = enter,
    .on_bytes = on_client_bytes,
    .on_ended = on_client_ended,
    .on_drained = on_client_drained,
    .on_due = on_due,
};
