// store_command.c: the sample store's commands (RFC 1939, 2449, 3206).  See
// store_command.h.
//
// Not done: moving read messages to cur/, and locking the mailbox.  Nobody
// but the clients of this store looks at it.
#include "backends/store/store_command.h"

#include "proxy/pop3/reply.h"

enum state { LOGIN, MAILBOX, ANY };
enum argument { NOTHING, WORDS, MESSAGE, MAYBE_MESSAGE, LINES };

struct arguments {
	struct str text;
	bool has_index;
	size_t index; // of the message, from 0
	uint64_t lines;
};

// ---- long replies -------------------------------------------------------

// Room that a line of a list takes at most: a number and a unique id.
enum { LIST_LINE_ROOM = 128 };

static void add_size(const struct store_session *session, size_t index, struct text *out)
{
	text_addf(out, "%zu %llu\r\n", index + 1,
	    (unsigned long long)session->maildir.messages[index].size);
}

static void add_uid(const struct store_session *session, size_t index, struct text *out)
{
	text_addf(out, "%zu ", index + 1);
	maildir_print_uid(&session->maildir, index, out);
	text_add(out, STR("\r\n"));
}

static enum message_result add_lines(struct store_session *session, struct text *out,
    void (*add_line)(const struct store_session *session, size_t index, struct text *out))
{
	for (; session->next < session->maildir.num_messages; session->next++) {
		if (out->cap - out->len < LIST_LINE_ROOM)
			return MESSAGE_MORE;
		if (!session->maildir.messages[session->next].deleted)
			add_line(session, session->next, out);
	}
	text_add(out, STR(".\r\n"));
	return MESSAGE_OVER;
}

static enum message_result send_sizes(struct store_session *session, struct text *out)
{
	return add_lines(session, out, add_size);
}

static enum message_result send_uids(struct store_session *session, struct text *out)
{
	return add_lines(session, out, add_uid);
}

static enum message_result send_message(struct store_session *session, struct text *out)
{
	return message_next(&session->message, out);
}

static void reply_list(struct store_session *session, const struct arguments *arguments,
    void (*add_line)(const struct store_session *session, size_t index, struct text *out),
    store_source_fn *source)
{
	char room[LIST_LINE_ROOM];
	struct text line = TEXT(room);
	text_add(&line, STR("+OK "));
	if (arguments->has_index) {
		add_line(session, arguments->index, &line);
		store_session_reply(session, text_str(&line));
		return;
	}
	session->next = 0;
	store_session_reply_long(session, STR("+OK The list follows.\r\n"), source);
}

static void reply_message(struct store_session *session, size_t index, uint64_t lines)
{
	int fd = maildir_open_message(&session->maildir, index);
	if (fd < 0) {
		store_session_refuse(
		    session, STR("-ERR That message is gone or cannot be read; log in again for "
		                 "a new list.\r\n"));
		return;
	}
	session->message = message_open(fd, lines);
	store_session_reply_long(session, STR("+OK The message follows.\r\n"), send_message);
}

// ---- the commands -------------------------------------------------------

static void run_CAPA(struct store_session *session, const struct arguments *arguments)
{
	(void)arguments;
	store_session_reply(session,
	    STR("+OK\r\nUSER\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\n"
	        "AUTH-RESP-CODE\r\nEXPIRE NEVER\r\nIMPLEMENTATION popgate-sample-store\r\n.\r\n"));
}

static void run_NOOP(struct store_session *session, const struct arguments *arguments)
{
	(void)arguments;
	store_session_reply(session, STR("+OK\r\n"));
}

// Only here do deletions happen (RFC 1939 section 6, the UPDATE state).
static void run_QUIT(struct store_session *session, const struct arguments *arguments)
{
	(void)arguments;
	if (maildir_remove_deleted(&session->maildir))
		store_session_reply(session, STR("+OK Bye.\r\n"));
	else
		store_session_reply(
		    session, STR("-ERR Some deleted messages could not be removed.\r\n"));
	store_session_leave(session);
}

static void run_USER(struct store_session *session, const struct arguments *arguments)
{
	session->user_named = true;
	session->user_known = str_eq(arguments->text, session->store->user);
	store_session_reply(session, STR("+OK Send the password.\r\n"));
}

static void open_mailbox(struct store_session *session)
{
	char room[REPLY_MAX];
	struct text why = TEXT(room);
	text_add(&why, STR("-ERR [SYS/PERM] The mailbox cannot be shown: "));
	session->logged_in = maildir_open(&session->maildir, session->store->maildir, &why);
	if (session->logged_in) {
		store_session_reply(session, STR("+OK Logged in.\r\n"));
		return;
	}
	text_add(&why, STR(".\r\n"));
	store_session_refuse(session, text_str(&why));
}

static void run_PASS(struct store_session *session, const struct arguments *arguments)
{
	bool right = secret_equals(&session->store->password, arguments->text);
	if (!session->user_named)
		store_session_refuse(session, STR("-ERR Send USER first.\r\n"));
	else if (right && session->user_known)
		open_mailbox(session);
	else
		store_session_refuse(session, STR("-ERR [AUTH] Wrong user name or password.\r\n"));
	session->user_named = false;
}

static void run_STAT(struct store_session *session, const struct arguments *arguments)
{
	char room[LIST_LINE_ROOM];
	struct text line = TEXT(room);
	const struct maildir *maildir = &session->maildir;
	uint64_t size = 0;
	size_t num = 0;
	(void)arguments;
	for (size_t i = 0; i < maildir->num_messages; i++) {
		if (maildir->messages[i].deleted)
			continue;
		size += maildir->messages[i].size;
		num++;
	}
	text_addf(&line, "+OK %zu %llu\r\n", num, (unsigned long long)size);
	store_session_reply(session, text_str(&line));
}

static void run_LIST(struct store_session *session, const struct arguments *arguments)
{
	reply_list(session, arguments, add_size, send_sizes);
}

static void run_UIDL(struct store_session *session, const struct arguments *arguments)
{
	reply_list(session, arguments, add_uid, send_uids);
}

static void run_RETR(struct store_session *session, const struct arguments *arguments)
{
	reply_message(session, arguments->index, MESSAGE_ALL_LINES);
}

static void run_TOP(struct store_session *session, const struct arguments *arguments)
{
	reply_message(session, arguments->index, arguments->lines);
}

static void run_DELE(struct store_session *session, const struct arguments *arguments)
{
	session->maildir.messages[arguments->index].deleted = true;
	store_session_reply(session, STR("+OK It will be removed at QUIT.\r\n"));
}

static void run_RSET(struct store_session *session, const struct arguments *arguments)
{
	(void)arguments;
	for (size_t i = 0; i < session->maildir.num_messages; i++)
		session->maildir.messages[i].deleted = false;
	store_session_reply(session, STR("+OK Nothing is deleted.\r\n"));
}

// ---- from a line to a command -------------------------------------------

#define VERB(name, state, argument) {{#name, sizeof(#name) - 1}, state, argument, run_##name},
static const struct verb {
	struct str name;
	enum state state;
	enum argument argument;
	void (*run)(struct store_session *session, const struct arguments *arguments);
} verbs[] = {
#include "backends/store/store_verbs.def"
};
#undef VERB

static const struct verb *find_verb(struct str name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (str_eq_nocase(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static bool is_allowed(const struct store_session *session, const struct verb *verb)
{
	return verb->state == ANY || (verb->state == MAILBOX) == session->logged_in;
}

static bool parse_message(
    const struct store_session *session, struct str number, struct arguments *out)
{
	uint64_t value;
	if (!str_to_u64(number, &value) || !value || value > session->maildir.num_messages)
		return false;
	out->has_index = true;
	out->index = (size_t)(value - 1);
	return !session->maildir.messages[out->index].deleted;
}

static bool parse_lines(const struct store_session *session, struct str text, struct arguments *out)
{
	struct str number, lines;
	str_cut(text, ' ', &number, &lines);
	return parse_message(session, number, out) && str_to_u64(lines, &out->lines);
}

static bool parse_arguments(const struct store_session *session, enum argument wanted,
    struct str text, struct arguments *out)
{
	*out = (struct arguments){.text = text};
	switch (wanted) {
	case NOTHING: return str_is_empty(text);
	case WORDS: return !str_is_empty(text);
	case MESSAGE: return parse_message(session, text, out);
	case MAYBE_MESSAGE: return str_is_empty(text) || parse_message(session, text, out);
	case LINES: return parse_lines(session, text, out);
	}
	return false;
}

void store_command_run(struct store_session *session, struct str line)
{
	struct str name, text;
	struct arguments arguments;
	str_cut(line, ' ', &name, &text);
	const struct verb *verb = find_verb(name);
	if (!verb)
		store_session_refuse(session, STR("-ERR Unknown command.\r\n"));
	else if (!is_allowed(session, verb))
		store_session_refuse(session, session->logged_in
		                                  ? STR("-ERR You are logged in already.\r\n")
		                                  : STR("-ERR Log in first.\r\n"));
	else if (!parse_arguments(session, verb->argument, text, &arguments))
		store_session_refuse(
		    session, STR("-ERR Missing or wrong argument, or no such message.\r\n"));
	else
		verb->run(session, &arguments);
}
