// phase_command.c: the client's commands before its login (RFC 1939 section 4,
// the AUTHORIZATION state).
//
// A login in the clear is refused at USER already, so that the password is
// never sent.  Commands may be pipelined; each is answered before the next is
// looked at, and none is looked at while the client does not read our answers.
#include "proxy/session/session_priv.h"

#include <stdlib.h>

#include "proxy/pop3/command.h"
#include "proxy/pop3/line.h"

// Answers that may wait before the client's next command does.
enum { ANSWERS_MAX = 16 * 1024 };

// The first byte of a TLS record that begins a handshake (RFC 8446 section 5.1).
enum { TLS_HANDSHAKE_RECORD = 0x16 };

// ---- lines --------------------------------------------------------------

// What a line that is none does to the session.
static const enum reason line_reasons[] = {
    [LINE_TOO_LONG] = REASON_line_too_long,
    [LINE_BARE_LF] = REASON_bare_lf,
    [LINE_BARE_CR] = REASON_bare_cr,
    [LINE_NUL] = REASON_nul,
};

static bool is_tls_hello(const struct session *session, struct str bytes)
{
	return !session->tls_version && bytes.at[0] == TLS_HANDSHAKE_RECORD;
}

size_t session_take_line(struct session *session, struct str bytes, size_t max, take_line_fn *take)
{
	struct str line;
	size_t used;
	enum line_result result = line_cut_strict(bytes, max, &line, &used);
	if (result == LINE_MORE)
		return 0;
	if (result != LINE_FOUND) {
		session_close(session, line_reasons[result], NULL);
		return bytes.len;
	}
	take(session, line, str_drop(bytes, used));
	return used;
}

static void on_drained(struct session *session)
{
	stream_resume(&session->client);
}

// ---- commands -----------------------------------------------------------

static void count_bad_command(struct session *session)
{
	if (++session->bad_commands >= session->listener->options.max_bad_commands)
		session_close(session, REASON_bad_commands, NULL);
}

static void note_bad_command(struct session *session, enum reply reply)
{
	session_reply(session, reply);
	count_bad_command(session);
}

static void refuse_in_clear(struct session *session)
{
	char room[REPLY_MAX];
	struct text text = TEXT(room);
	reply_refused_in_clear(&text, str_of(session->listener->options.refusal_hint));
	stream_write(&session->client, text_str(&text));
	count_bad_command(session);
}

// In the clear a password is refused as such, even where TLS would not help.
static void refuse_kind(struct session *session, enum claim_kind kind)
{
	bool would_help = kind == CLAIM_plain || session_claims_at_best(session) & kind;
	if (!session->tls_version && would_help)
		refuse_in_clear(session);
	else
		note_bad_command(session, REPLY_mechanism);
}

static void do_user(struct session *session, struct str argument, struct str rest)
{
	(void)rest;
	if (!(session_claims(session) & CLAIM_plain)) {
		refuse_kind(session, CLAIM_plain);
		return;
	}
	session_forget_login(session);
	session->user = (struct str){str_dup(argument), argument.len};
	session_reply(session, REPLY_user);
}

// USER is used up, right or wrong: the next try begins with it again.
static void do_pass(struct session *session, struct str argument, struct str rest)
{
	struct str user = session->user;
	(void)rest;
	session->user = (struct str){0};
	if (str_is_empty(user))
		note_bad_command(session, REPLY_pass_first);
	else if (!claim_plain(&session->claim, "USER", user, argument))
		note_bad_command(session, REPLY_claim);
	else
		session_login(session);
	free((char *)user.at);
}

static struct capa capabilities(const struct session *session)
{
	unsigned has = session->backend->options->capabilities;
	return (struct capa){
	    .stls = session->listener->options.tls == LISTENER_TLS_stls && !session->tls_version,
	    .claims = session_claims(session),
	    .top = has & CAPABILITY_top,
	    .uidl = has & CAPABILITY_uidl,
	    .pipelining = has & CAPABILITY_pipelining,
	};
}

static void list(struct session *session, void (*write)(const struct capa *capa, struct text *out))
{
	char room[CAPA_SIZE];
	struct text text = TEXT(room);
	struct capa capa = capabilities(session);
	write(&capa, &text);
	stream_write(&session->client, text_str(&text));
}

static void do_capa(struct session *session, struct str argument, struct str rest)
{
	(void)argument;
	(void)rest;
	list(session, capa_list);
}

static void do_auth(struct session *session, struct str argument, struct str rest)
{
	struct str name, initial;
	(void)rest;
	str_cut(argument, ' ', &name, &initial);
	if (str_is_empty(name)) {
		list(session, capa_list_mechanisms);
		return;
	}
	enum mechanism mechanism = mechanism_find(name);
	if (mechanism == MECHANISMS)
		note_bad_command(session, REPLY_mechanism);
	else if (mechanism_claim(mechanism) & session_claims(session))
		session_begin_sasl(session, mechanism, initial);
	else
		refuse_kind(session, mechanism_claim(mechanism));
}

static void do_apop(struct session *session, struct str argument, struct str rest)
{
	(void)rest;
	if (!(session_claims(session) & CLAIM_digest))
		refuse_kind(session, CLAIM_digest);
	else {
		session_forget_login(session);
		if (claim_digest(
		        &session->claim, "APOP", DIGEST_apop, session->timestamp, argument))
			session_login(session);
		else
			note_bad_command(session, REPLY_claim);
	}
}

static void do_stls(struct session *session, struct str argument, struct str rest)
{
	(void)argument;
	if (session->tls_version)
		note_bad_command(session, REPLY_stls_again);
	else if (session->listener->options.tls != LISTENER_TLS_stls)
		note_bad_command(session, REPLY_stls_none);
	else if (rest.len)
		session_close(session, REASON_stls_injection, NULL);
	else {
		session_forget_login(session);
		session_reply(session, REPLY_stls);
		session_enter(session, PHASE_handshake);
	}
}

static void do_noop(struct session *session, struct str argument, struct str rest)
{
	(void)argument;
	(void)rest;
	note_bad_command(session, REPLY_noop_refused);
}

static void do_quit(struct session *session, struct str argument, struct str rest)
{
	(void)argument;
	(void)rest;
	session_close(session, REASON_quit, NULL);
}

typedef void command_fn(struct session *session, struct str argument, struct str rest);

static command_fn *const commands[VERBS] = {
    [VERB_USER] = do_user,
    [VERB_PASS] = do_pass,
    [VERB_AUTH] = do_auth,
    [VERB_APOP] = do_apop,
    [VERB_STLS] = do_stls,
    [VERB_CAPA] = do_capa,
    [VERB_NOOP] = do_noop,
    [VERB_QUIT] = do_quit,
};

static void take_command(struct session *session, struct str line, struct str rest)
{
	enum verb verb;
	struct str argument;
	switch (command_parse(line, &verb, &argument)) {
	case COMMAND_FOUND: commands[verb](session, argument, rest); return;
	case COMMAND_UNKNOWN: note_bad_command(session, REPLY_unknown); return;
	case COMMAND_ARGUMENT: note_bad_command(session, REPLY_argument); return;
	case COMMAND_HTTP: session_close(session, REASON_http, NULL); return;
	}
}

// AUTH with an initial response is as long as a line of its exchange.
static size_t longest(const struct session *session, struct str bytes)
{
	bool is_auth = str_starts_nocase(bytes, STR("AUTH "));
	return is_auth ? SASL_LINE_MAX : session->listener->options.max_command_size;
}

static size_t take_one(struct session *session, struct str bytes)
{
	if (!is_tls_hello(session, bytes))
		return session_take_line(session, bytes, longest(session, bytes), take_command);
	session_close(session, REASON_tls_on_plain_port, NULL);
	return bytes.len;
}

static size_t on_bytes(struct session *session, struct str bytes)
{
	size_t used = 0, n;
	do {
		n = take_one(session, str_drop(bytes, used));
		used += n;
	} while (n && used < bytes.len && session->phase == PHASE_command &&
	         stream_queued(&session->client) <= ANSWERS_MAX);
	if (session->phase == PHASE_command && stream_queued(&session->client) > ANSWERS_MAX)
		stream_pause(&session->client);
	return used;
}

void session_client_left(struct session *session)
{
	session_close(session, REASON_client_left, NULL);
}

void session_too_slow(struct session *session)
{
	session_close(session, REASON_preauth_timeout, NULL);
}

const struct phase_ops phase_command = {
    .on_bytes = on_bytes,
    .on_ended = session_client_left,
    .on_drained = on_drained,
    .on_due = session_too_slow,
};
