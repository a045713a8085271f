// store_session.h: one client's visit to the sample store.
//
// Started by the store for each accepted connection; its commands stand in
// store_command.c.  A session owns its mailbox list and the message being
// sent, and is freed when its stream and its timer have closed.
#ifndef POPGATE_BACKENDS_STORE_STORE_SESSION_H
#define POPGATE_BACKENDS_STORE_STORE_SESSION_H

#include "backends/store/maildir.h"
#include "backends/store/message.h"
#include "proxy/base/secret.h"
#include "proxy/net/stream.h"
#include "proxy/net/timer.h"

// The server, as its sessions see it.
struct store {
	struct net net;
	const char *maildir;
	struct str user;
	struct secret password;
	unsigned num_sessions;
};

// More connections than this are refused with a sentence.
enum { STORE_SESSIONS_MAX = 1000 };

struct store_session;

// Adds the next piece of a long reply to *out, which has MESSAGE_ROOM bytes.
typedef enum message_result store_source_fn(struct store_session *session, struct text *out);

struct store_session {
	struct store *store;
	struct stream stream;
	struct timer timer;
	struct net_task task; // goes on with a long reply
	unsigned open_handles;
	unsigned mistakes;
	bool user_named;
	bool user_known;
	bool logged_in;
	bool leaving;
	struct maildir maildir;
	store_source_fn *source; // NULL while no long reply is being sent
	struct message message;  // for a source that sends one
	size_t next;             // for a source that sends a list
};

// Takes over fd and serves it.
void store_session_start(struct store *store, int fd);

// Replies: a line; one that counts as a mistake; one with pieces from `source`
// behind the line.
void store_session_reply(struct store_session *session, struct str line);
void store_session_refuse(struct store_session *session, struct str line);
void store_session_reply_long(
    struct store_session *session, struct str line, store_source_fn *source);

// Ends the session once what was replied has gone out.
void store_session_leave(struct store_session *session);

#endif
