// session_log.c: what a session leaves in the log: one line when it ends, and
// at level debug a line for each phase.
//
// Only what is known is in the line: a session that ended before its login has
// no user.  The user's name is a claim until the store has accepted it, which
// the field `server` shows.
#include "proxy/session/session_priv.h"

#include "certs/client_name.h"
#include "policy/country.h"
#include "proxy/config/types.h"

static void add_id(struct log_line *line, const struct session *session)
{
	static const char digits[] = "0123456789abcdef";
	char id[16];
	for (size_t i = 0; i < sizeof(id); i++)
		id[i] = digits[session->id >> (60 - 4 * i) & 15];
	log_str(line, "session", (struct str){id, sizeof(id)});
}

static void add_known(struct log_line *line, const char *field, const char *value)
{
	if (value)
		log_str(line, field, str_of(value));
}

static void add_tls(struct log_line *line, const struct session *session)
{
	if (!session->tls_version)
		return;
	log_str(line, "tls", str_of(session->tls_version));
	log_str(line, "cipher", str_of(session->tls_cipher));
	add_known(line, "tls_group", session->tls_group);
	if (session->tls_resumed)
		log_str(line, "resumed", STR("true"));
}

// Also of a handshake that failed: who comes for which name, and does not like what.
static void add_served(struct log_line *line, const struct session *session)
{
	const struct config *config = session->house->snapshot->config;
	uint32_t number;
	if (session->client.tls && tls_has_served(session->client.tls, &number))
		log_str(line, "certificate", str_of(config->certificates[number].name));
}

static void add_server_name(struct log_line *line, const struct session *session)
{
	struct str name = session->client.tls ? tls_server_name(session->client.tls) : STR("");
	if (name.len)
		log_str(line, "server_name", name);
}

// What the client has shown, whatever it logged in by.
static void add_certificate(struct log_line *line, const struct session *session)
{
	struct client_certificate shown;
	if (!session->has_certificate ||
	    !client_certificate_describe(tls_peer_certificate(session->client.tls), &shown))
		return;
	log_str(line, "subject", str_of(shown.subject));
	log_str(line, "serial", str_of(shown.serial));
	log_str(line, "fingerprint", str_of(shown.fingerprint));
}

static void add_code(struct log_line *line, const char *field, uint32_t code)
{
	char room[8];
	struct text letters = TEXT(room);
	if (!code)
		return;
	country_print(code, &letters);
	log_str(line, field, text_str(&letters));
}

unsigned session_exceptions(const struct session *session)
{
	return session->verdict.methods & ~session->listener->options.login;
}

// A method that the client has by an exception alone.
static void add_exceptions(struct log_line *line, const struct session *session)
{
	unsigned methods = session_exceptions(session);
	const struct option_word *word = option_types[TYPE_methods].words;
	for (; word->name; word++)
		if (methods & word->value)
			log_str(line, "exception", str_of(word->name));
}

// What the policy knew, and by which rule it decided.
static void add_verdict(struct log_line *line, const struct session *session)
{
	const struct verdict *verdict = &session->verdict;
	if (!session->policy || !verdict->is_known)
		return;
	log_str(line, "policy", str_of(session->policy->name));
	log_str(line, "rule", str_of(verdict->rule));
	if (verdict->dns != DNS_not_asked)
		log_str(line, "dns", str_of(dns_outcome_token(verdict->dns)));
	add_known(line, verdict->name_confirmed ? "host" : "claimed_host", verdict->name);
	add_code(line, "country", verdict->country);
	if (verdict->asn)
		log_u64(line, "asn", verdict->asn);
}

static void add_login(struct log_line *line, const struct session *session)
{
	add_known(line, "mechanism", session->claim.mechanism);
	add_known(line, "ntlm", session->claim.variant);
	add_known(line, "verifier", session->judge);
	if (session->claim.user.len)
		log_str(line, "user", session->claim.user);
	if (session->failed_logins)
		log_u64(line, "failed_logins", session->failed_logins);
	if (!session->server)
		return;
	if (!str_eq(session->claim.user, session_route(session)->name))
		log_str(line, "mailbox", session_route(session)->name);
	log_str(line, "backend", str_of(session->backend->name));
	log_str(line, "server", str_of(session->server->name));
	log_u64(line, "bytes_from_store", session->down.bytes);
	log_u64(line, "bytes_to_store", session->up.bytes);
}

// Who has accepted the claim, or was asked last.
static const char *judge_of(const struct session *session)
{
	const struct verification *verification = session->verification;
	if (session->judge || !verification || verification->verifier == VERIFIER_backend)
		return session->judge;
	return verifier_name(verification->verifier);
}

static void add_times(struct log_line *line, const struct session *session)
{
	char room[64];
	log_u64(line, "ms", session->entered - session->began);
	for (enum phase phase = 0; phase < PHASE_closing; phase++) {
		struct text field = TEXT(room);
		if (!session->phase_ms[phase])
			continue;
		text_add(&field, STR("ms_"));
		text_add(&field, str_of(phase_name(phase)));
		log_u64(line, room, session->phase_ms[phase]);
	}
}

void session_log_closed(const struct session *session)
{
	struct log_line line;
	log_begin(&line, LOG_session_closed);
	if (line.skipped)
		return;
	add_id(&line, session);
	log_addr(&line, "client", &session->peer);
	if (session->via.any.sa_family)
		log_addr(&line, "via", &session->via);
	log_str(&line, "listener", str_of(session->listener->name));
	add_verdict(&line, session);
	add_exceptions(&line, session);
	add_tls(&line, session);
	add_served(&line, session);
	add_certificate(&line, session);
	add_login(&line, session);
	log_u64(&line, "bytes_in", session->client.bytes_in);
	log_u64(&line, "bytes_out", session->client.bytes_out);
	log_str(&line, "phase", str_of(phase_name(session->last_phase)));
	log_str(&line, "reason", str_of(reason_rows[session->reason].token));
	add_known(&line, "why", session->why);
	add_times(&line, session);
	add_server_name(&line, session); // last: nothing gives way to what a client writes
	log_end(&line);
}

// Of an exchange that made no claim, the mechanism alone is known.
const char *session_mechanism(const struct session *session)
{
	const char *claimed = session->claim.mechanism;
	return claimed ? claimed : mechanism_name(session->sasl.mechanism);
}

void session_log_login_failed(const struct session *session, struct str why)
{
	struct log_line line;
	const struct claim *claim = &session->claim;
	log_begin(&line, LOG_login_failed);
	if (line.skipped)
		return;
	add_id(&line, session);
	log_addr(&line, "client", &session->peer);
	log_str(&line, "listener", str_of(session->listener->name));
	log_str(&line, "mechanism", str_of(session_mechanism(session)));
	add_known(&line, "ntlm", claim->variant);
	add_known(&line, "verifier", judge_of(session));
	if (claim->user.len)
		log_str(&line, "user", claim->user);
	add_certificate(&line, session);
	log_str(&line, "why", why);
	log_end(&line);
}

static void log_audit(const struct session *session, const char *rule)
{
	struct log_line line;
	log_begin(&line, LOG_policy_audit);
	if (line.skipped)
		return;
	add_id(&line, session);
	log_addr(&line, "client", &session->peer);
	log_str(&line, "listener", str_of(session->listener->name));
	log_str(&line, "policy", str_of(session->policy->name));
	log_str(&line, "rule", str_of(rule));
	log_end(&line);
}

void session_log_audits(const struct session *session, const struct decision *decision)
{
	for (size_t i = 0; i < decision->num_audits && i < DECISION_AUDITS_MAX; i++)
		log_audit(session, decision->policy->rules[decision->audits[i]].text);
}

void session_log_phase(const struct session *session)
{
	struct log_line line;
	log_begin(&line, LOG_session_phase);
	if (line.skipped)
		return;
	add_id(&line, session);
	log_str(&line, "phase", str_of(phase_name(session->phase)));
	log_end(&line);
}
