// session_priv.h: the session itself, for the files of this folder.
//
// One owner, no reference count: a session lives until the last of its
// handles on the loop has reported that it is closed (session_handle_closed).
// `phase` has one writer, session_enter; every end goes through session_close.
#ifndef POPGATE_PROXY_SESSION_SESSION_PRIV_H
#define POPGATE_PROXY_SESSION_SESSION_PRIV_H

#include "backends/upstream.h"
#include "policy/decision.h"
#include "policy/penalties.h"
#include "proxy/net/pump.h"
#include "proxy/net/tls.h"
#include "proxy/pop3/capa.h"
#include "proxy/pop3/sasl.h"
#include "proxy/session/session.h"

#define PHASE(name, input, deadline, successors) PHASE_##name,
enum phase {
#include "proxy/session/phases.def"
	PHASES
};
#undef PHASE

#define REASON(token, reply, end, sentence) REASON_##token,
enum reason {
#include "proxy/session/reasons.def"
	REASONS
};
#undef REASON

// What a phase does with what happens.  NULL: it cannot happen there or does
// not matter; but a phase that takes input has on_bytes, and one with a deadline
// on_due.
struct phase_ops {
	void (*enter)(struct session *session);
	size_t (*on_bytes)(struct session *session, struct str bytes);
	void (*on_secured)(struct session *session);
	void (*on_ended)(struct session *session);
	void (*on_drained)(struct session *session);
	void (*on_due)(struct session *session);
};

extern const struct phase_ops phase_proxy;
extern const struct phase_ops phase_handshake;
extern const struct phase_ops phase_greeting;
extern const struct phase_ops phase_command;
extern const struct phase_ops phase_sasl;
extern const struct phase_ops phase_turn;
extern const struct phase_ops phase_login;
extern const struct phase_ops phase_refusal;
extern const struct phase_ops phase_relay;
extern const struct phase_ops phase_closing;

enum { PLACE_listener, PLACE_ip, PLACE_user, PLACES };

struct session {
	struct sessions *house;
	struct session *next;
	struct session *previous;
	const struct listener_config *listener;
	size_t listener_index;
	struct backend *backend;
	uint64_t id;
	struct addr peer;  // the client
	struct addr via;   // the load balancer in front of it; without a family: none
	struct addr local; // where the client connected to, as far as a store is to know it

	enum phase phase;
	enum phase last_phase; // before closing
	enum reason reason;
	const char *why;  // more about the reason; static, or as long-lived as `client`
	unsigned handles; // on the loop

	struct stream client;
	struct stream store;
	struct timer timer;
	struct limits_place places[PLACES];

	uint64_t began;       // ms of the loop's clock, as all of these
	uint64_t entered;     // the phase
	uint64_t preauth_end; // later than preauth_timeout by what was not the client's time
	uint64_t active;      // when the relay last moved a byte
	uint32_t phase_ms[PHASES];

	const struct policy_config *policy; // NULL: everybody may connect
	struct decision decision;
	bool is_judged;

	unsigned bad_commands;
	unsigned failed_logins;
	struct str user; // of USER, for PASS; heap
	struct sasl sasl;
	struct claim claim;
	struct credentials credentials;
	struct attempt attempt;
	struct upstream upstream;
	const struct backend_server *server; // where it is logged in
	struct pump up;                      // client to store
	struct pump down;                    // store to client

	const char *tls_version; // static; NULL in the clear
	const char *tls_cipher;
	bool tls_resumed;
};

// ---- session.c ----------------------------------------------------------

// Moves to another phase; BUGs when phases.def does not allow it.
void session_enter(struct session *session, enum phase phase);

// Goes on with a client whose address is known: takes its place among the
// connections of that address, then TLS or the greeting.
void session_admit(struct session *session);

// Ends the session; the first reason stays.
void session_close(struct session *session, enum reason reason, const char *why);

static inline bool session_is_closing(const struct session *session)
{
	return session->phase == PHASE_closing;
}

// One handle less; the last one frees the session.
void session_handle_closed(struct session *session);

void session_reply(struct session *session, enum reply reply);

// The kinds of claim that are welcome now, by the listener's login methods.
unsigned session_claims(const struct session *session);

// Forgets everything that the client has said about who it is.
void session_forget_login(struct session *session);

const char *phase_name(enum phase phase);

// ---- the other files ----------------------------------------------------

typedef void take_line_fn(struct session *session, struct str line, struct str rest);

// verdict.c: asks the policy.  False when the session is closed already.
bool session_judge(struct session *session);

// verdict.c: the verdict is still out when the client's time is over.
void session_unjudged(struct session *session);

// verdict.c: what the policy has said; false when that ended the session.
bool session_is_welcome(struct session *session);

// phase_greeting.c: greets the client, who is judged and in TLS if it must be.
void session_greet(struct session *session);

// phase_command.c: hands the first line of bytes to `take`, with what stands
// behind it; ends the session for a line that is none.  Returns the bytes
// used; 0 when the line is not complete.
size_t session_take_line(struct session *session, struct str bytes, size_t max, take_line_fn *take);

// phase_command.c: the client ends its side, or its time is over, before it has
// logged in.
void session_client_left(struct session *session);
void session_too_slow(struct session *session);

// phase_sasl.c: begins an AUTH exchange; `initial` is the initial response as
// it stands in the line.
void session_begin_sasl(struct session *session, enum mechanism mechanism, struct str initial);

// phase_closing.c: how a reason ends the connection to the client.
enum end { GENTLY, LINGER, ORDERLY, ABORT };
struct reason_row {
	const char *token;
	enum reply reply; // REPLIES: none
	enum end end;
};
extern const struct reason_row reason_rows[REASONS];

// phase_relay.c: the stream to the store is the session's from now on, and
// will tell it STREAM_CLOSED.
void session_adopt_store(struct session *session);

// phase_turn.c: a claim was made; the store is asked when it is its turn.
void session_login(struct session *session);

// phase_refusal.c: the store did not accept the claim; the client is told, in a
// while where that counts as a failed login.
void session_refuse_login(struct session *session);

// phase_refusal.c: the session ends while the store is being asked: notes a failed
// login where the password was sent, and so needs it still.
void session_leave_login(struct session *session);

// phase_login.c: passes the store's answer on to the client.
void session_pass_on(struct session *session, bool refused);

// phase_login.c: one attempt less for the client, who has been told.
void session_login_failed(struct session *session);

// session_log.c: the one closing line, and a debug line for each phase.
void session_log_closed(const struct session *session);
void session_log_phase(const struct session *session);

// session_log.c: a line for each audit rule that matched.
void session_log_audits(const struct session *session);

#endif
