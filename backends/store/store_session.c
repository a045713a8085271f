// store_session.c: the sample store's end of a connection.  See
// store_session.h.
//
//      on_bytes -> store_command_run -> reply
//                         |
//                         +-> reply_long -> send_pieces <-> STREAM_DRAINED
//
// A long reply is a `source` that makes one piece at a time; while there is
// one, or anything is still queued, the stream is paused, so that pipelined
// commands wait and the queue stays short.
#include "backends/store/store_session.h"

#include <stdlib.h>

#include "backends/store/store_command.h"
#include "proxy/base/die.h"
#include "proxy/pop3/line.h"

enum {
	COMMAND_MAX = 1024,
	MISTAKES_MAX = 10,      // refused commands before the login
	PIECES_PER_TURN = 16,   // of the loop, so that other sessions have theirs
	IDLE_MS = 600 * 1000,   // RFC 1939 section 3: ten minutes at least
	LEAVING_MS = 10 * 1000, // for the last reply to be taken
	HANDLES = 2,            // the stream and the timer
};

// ---- replies ------------------------------------------------------------

void store_session_reply(struct store_session *session, struct str line)
{
	stream_write(&session->stream, line);
}

void store_session_leave(struct store_session *session)
{
	session->leaving = true;
	stream_close_gently(&session->stream);
	timer_set(&session->timer, LEAVING_MS);
}

void store_session_refuse(struct store_session *session, struct str line)
{
	store_session_reply(session, line);
	if (!session->logged_in && ++session->mistakes == MISTAKES_MAX)
		store_session_leave(session);
}

static void end_message(struct store_session *session)
{
	if (session->message.fd >= 0)
		message_close(&session->message);
}

static void send_piece(struct store_session *session)
{
	static char room[MESSAGE_ROOM];
	struct text piece = TEXT(room);
	enum message_result result = session->source(session, &piece);
	BUG_ON(piece.truncated);
	store_session_reply(session, text_str(&piece));
	if (result == MESSAGE_MORE)
		return;
	session->source = NULL;
	end_message(session);
	if (result == MESSAGE_FAILED) {
		session->leaving = true;
		stream_abort(&session->stream);
	}
}

// Goes on until the reply is complete, the client takes no more, or it is the
// others' turn.
static void send_pieces(struct store_session *session)
{
	for (int i = 0; session->source && i < PIECES_PER_TURN; i++)
		if (stream_queued(&session->stream) == 0)
			send_piece(session);
	if (session->leaving)
		return;
	if (!session->source) {
		stream_resume(&session->stream);
		return;
	}
	stream_pause(&session->stream);
	if (stream_queued(&session->stream) == 0)
		net_defer(&session->store->net, &session->task);
}

void store_session_reply_long(
    struct store_session *session, struct str line, store_source_fn *source)
{
	store_session_reply(session, line);
	session->source = source;
	send_pieces(session);
}

static void run_task(struct net_task *task)
{
	send_pieces((struct store_session *)((char *)task - offsetof(struct store_session, task)));
}

// ---- the stream ---------------------------------------------------------

static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct store_session *session = stream->context;
	size_t used = 0, len;
	struct str line;
	timer_set(&session->timer, IDLE_MS);
	while (!session->source && !session->leaving && !stream_queued(stream)) {
		enum line_result result =
		    line_cut_strict(str_drop(bytes, used), COMMAND_MAX, &line, &len);
		if (result == LINE_MORE)
			break;
		if (result != LINE_FOUND) {
			store_session_reply(
			    session, STR("-ERR Lines end with CR LF, hold no NUL and have at "
			                 "most 1024 bytes.\r\n"));
			store_session_leave(session);
			break;
		}
		used += len;
		store_command_run(session, line);
	}
	if (stream_queued(stream))
		stream_pause(stream);
	return session->leaving ? bytes.len : used;
}

static void hang_up(struct store_session *session)
{
	session->leaving = true;
	net_cancel(&session->store->net, &session->task);
	stream_close(&session->stream);
}

static void handle_closed(struct store_session *session)
{
	if (--session->open_handles)
		return;
	session->store->num_sessions--;
	free(session);
}

static void on_timer_closed(struct timer *timer)
{
	handle_closed(
	    (struct store_session *)((char *)timer - offsetof(struct store_session, timer)));
}

static void on_stream_closed(struct store_session *session)
{
	end_message(session);
	maildir_close(&session->maildir);
	timer_close(&session->timer, on_timer_closed);
	handle_closed(session);
}

static void on_event(struct stream *stream, enum stream_event event)
{
	struct store_session *session = stream->context;
	switch (event) {
	case STREAM_CONNECTED:
	case STREAM_SECURED: break;
	case STREAM_ENDED: store_session_leave(session); break;
	case STREAM_DRAINED:
		timer_set(&session->timer, IDLE_MS);
		send_pieces(session);
		break;
	case STREAM_FAILED: hang_up(session); break;
	case STREAM_CLOSED: on_stream_closed(session); break;
	}
}

static const struct stream_owner owner = {on_bytes, on_event};

static void on_due(struct timer *timer)
{
	hang_up((struct store_session *)((char *)timer - offsetof(struct store_session, timer)));
}

void store_session_start(struct store *store, int fd)
{
	struct store_session *session = xcalloc(1, sizeof(*session));
	session->store = store;
	session->open_handles = HANDLES;
	session->message.fd = -1;
	session->task.run = run_task;
	store->num_sessions++;
	timer_init(&session->timer, &store->net, on_due);
	if (!stream_open(&session->stream, &store->net, fd, &owner, session)) {
		hang_up(session);
		return;
	}
	timer_set(&session->timer, IDLE_MS);
	if (store->num_sessions > STORE_SESSIONS_MAX) {
		store_session_reply(
		    session, STR("-ERR [SYS/TEMP] Too many sessions for a sample store.\r\n"));
		store_session_leave(session);
		return;
	}
	store_session_reply(session, STR("+OK popgate's sample store, for trying things out.\r\n"));
	stream_resume(&session->stream);
}
