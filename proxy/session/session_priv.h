// session_priv.h: the session itself, for the files of this folder.
//
// One owner, no reference count: a session lives until the last of its
// handles on the loop has reported that it is closed (session_handle_closed).
// `phase` has one writer, session_enter; every end goes through session_close.
#ifndef POPGATE_PROXY_SESSION_SESSION_PRIV_H
#define POPGATE_PROXY_SESSION_SESSION_PRIV_H

#include "backends/account.h"
#include "backends/route.h"
#include "backends/upstream.h"
#include "backends/verify/verify.h"
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
	void (*leave)(struct session *session); // before the next phase
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
extern const struct phase_ops phase_challenge;
extern const struct phase_ops phase_turn;
extern const struct phase_ops phase_verify;
extern const struct phase_ops phase_login;
extern const struct phase_ops phase_refusal;
extern const struct phase_ops phase_relay;
extern const struct phase_ops phase_closing;

enum { PLACE_listener, PLACE_ip, PLACE_handshake, PLACE_user, PLACES };

// What the policy has said of the client.
struct verdict {
	bool is_known;
	bool by_dns_failure;
	bool name_confirmed;
	enum access access;
	enum dns_outcome dns;
	unsigned methods; // that exceptions allow
	uint32_t country, asn;
	const char *rule; // that decided; static, or the policy's
	char *name;       // the client's, as far as that mattered; heap
};

// What a login needs that is under way.
struct pending {
	struct account account; // of the claim's user
	const char *denied;     // why the user is not let in at all; static
	uint64_t judged_at;     // when our verifiers were asked
	uint64_t tell_at;       // when the client may be told that it was refused
	enum reply own_reply;   // to a refused login; REPLIES: the store's own words
	struct attempt attempt;
	struct credentials credentials;
	struct upstream upstream;
};

struct session {
	struct sessions *house;
	struct session_list *list; // of the house
	struct session *next;
	struct session *previous;
	const struct listener_config *listener;
	size_t listener_index;
	size_t home; // backend of the listener, or of the host that the client asked for
	struct backend *backend; // at home, or of the login that is under way
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
	struct judging *judging;            // heap; while the policy is being asked
	struct verdict verdict;
	bool is_legacy; // an exception lets it use TLS as it was

	unsigned bad_commands;
	unsigned failed_logins;
	struct str user; // of USER, for PASS; heap
	struct sasl sasl;
	struct mechanism_setup *setup; // heap; of an exchange under way
	struct str timestamp;          // of the greeting, for APOP; heap
	struct claim claim;
	struct route counted;              // before the claim is judged; attempts are counted by it
	struct route route;                // after that, if it is another; else nowhere
	struct verification *verification; // heap; until the login is decided
	const char *judge;                 // of our verifiers, who has accepted it; static
	struct pending *pending;           // heap; from the first login to the relay
	const struct backend_server *server; // where it is logged in
	struct pump up;                      // client to store
	struct pump down;                    // store to client

	const char *tls_version; // static; NULL in the clear
	const char *tls_cipher;
	const char *tls_group;
	bool tls_resumed;
	bool has_certificate; // the client has shown one, and TLS has judged it
};

// ---- session.c ----------------------------------------------------------

// Moves to another phase; BUGs when phases.def does not allow it.
void session_enter(struct session *session, enum phase phase);

// Says which backend of the configuration it has where no rule leads to another.
void session_be_at_home(struct session *session, size_t backend);

// Goes on with a client whose address is known: takes its place among the
// connections of that address, then TLS or the greeting.
void session_admit(struct session *session);

// Ends the session; the first reason stays.
void session_close(struct session *session, enum reason reason, const char *why);

// Why a handshake that broke did so.
enum reason session_handshake_failure(const struct session *session);

static inline bool session_is_closing(const struct session *session)
{
	return session->phase == PHASE_closing;
}

// One handle less; the last one frees the session.
void session_handle_closed(struct session *session);

void session_reply(struct session *session, enum reply reply);

// The kinds of claim that are welcome now, by the listener's login methods.
unsigned session_claims(const struct session *session);

// The same, with as much TLS as the listener does.
unsigned session_claims_at_best(const struct session *session);

// The listener's.
const struct verifiers *session_verifiers(const struct session *session);

// Makes room for a login, where there is none yet; and gives it back, along with the
// places of the login's attempt.
void session_begin_pending(struct session *session);
void session_end_pending(struct session *session);

// Forgets what proves the login, and what is known of the user; the user's name
// stays for the log.
void session_forget_secrets(struct session *session);

// Forgets everything that the client has said about who it is.
void session_forget_login(struct session *session);

const char *phase_name(enum phase phase);

// ---- the other files ----------------------------------------------------

typedef void take_line_fn(struct session *session, struct str line, struct str rest);

// handshakes.c: takes a place among the handshakes under way, and gives it back.
// False when there is none, and the session is closed.
bool session_begin_handshake(struct session *session);
void session_end_handshake(struct session *session);

// handshakes.c: from its list to the end of another; NULL: none.
void session_move(struct session *session, struct session_list *to);

// verdict.c: asks the policy.  False when the session is closed already.
bool session_judge(struct session *session);

// verdict.c: the verdict is still out when the client's time is over.
void session_unjudged(struct session *session);

// verdict.c: gives up asking.
void session_stop_judging(struct session *session);

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

// phase_sasl.c: goes on with the store's challenge.
void session_take_challenge(struct session *session, struct str challenge);

// mechanism_setup.c: what a mechanism must know; NULL where that is nothing.  Held
// until session_end_mechanism, which also ends the exchange.
const struct sasl_settings *session_set_up_mechanism(struct session *session, enum claim_kind kind);
void session_end_mechanism(struct session *session);

// mechanism_setup.c: makes the timestamp for APOP.
void session_make_timestamp(struct session *session);

// phase_challenge.c: the store is to make NTLM's challenge; it has not; the client
// needs it no longer and is to be told `reply`.
void session_ask_for_challenge(struct session *session, const struct sasl_answer *answer);
void session_challenge_over(struct session *session);
void session_abandon_challenge(struct session *session, enum reply reply);

// phase_challenge.c: whether there is a dialogue with a store that waits for the
// client, or has in vain and is about to end: it must be gone on with, or abandoned.
bool session_waits_for_client(const struct session *session);

// identity.c: finds out whose claim it is and where that leads: `account`, `counted`
// and `backend`, or `denied`.
void session_identify(struct session *session);

// identity.c: the same once a verifier has accepted the claim: `route`.  False with the
// reason, for the log, when it leads nowhere: *out_refused when the map does not let
// the user there, else the configuration or users.db is at fault.
__attribute__((warn_unused_result)) bool session_identify_again(
    struct session *session, bool *out_refused, const char **why);

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

// phase_refusal.c: the session ends while a login is being judged: notes a failed one,
// at the store only where the password was sent; and so needs it still.
void session_leave_login(struct session *session);

// phase_refusal.c: our verifiers did not accept the claim, or could not say; `why` is
// for the log.
void session_reject_login(struct session *session, const char *why);
void session_cannot_judge(struct session *session, const char *why);

// phase_refusal.c: tells the client, at `tell_at`, and forgets the login.
void session_tell_refusal(struct session *session);

// phase_login.c: fills in what each dialogue with a store needs; `token` is NTLM's type
// 1 where the store is to make the challenge.
void session_dial(struct session *session, struct str token);

// phase_login.c: where the user's mailbox is.
static inline const struct route *session_route(const struct session *session)
{
	return session->route.name.at ? &session->route : &session->counted;
}

// phase_login.c: passes the store's answer on to the client.
void session_pass_on(struct session *session, bool refused);

// phase_login.c: one attempt less for the client, who has been told.
void session_login_failed(struct session *session);

// session_log.c: the one closing line, and a debug line for each phase.
void session_log_closed(const struct session *session);
void session_log_phase(const struct session *session);

// session_log.c: a line about a login that was refused for a reason which the client
// is not told.
void session_log_login_failed(const struct session *session, struct str why);

// session_log.c: a line for each audit rule that matched.
void session_log_audits(const struct session *session, const struct decision *decision);

// session_log.c: the login methods (bits) that the client has by an exception alone; by
// what the client logs in, or has tried.
unsigned session_exceptions(const struct session *session);
const char *session_mechanism(const struct session *session);

// session_metrics.c: counts what has just happened.
void session_count_opened(void);
void session_count_closed(const struct session *session);
void session_count_handshake(const struct session *session);
void session_count_login(const struct session *session);
void session_count_failed_login(const struct session *session);
void session_count_unjudged_login(const struct session *session);

#endif
