// phase_handshake.c: the client's TLS handshake, at once or after STLS.
//
// After STLS there is no second greeting (RFC 2595 section 4), and what came in
// the clear is no part of TLS; at once, what came behind a load balancer's
// header is.
#include "proxy/session/session_priv.h"

#include "proxy/net/tls_names.h"

static bool is_after_stls(const struct session *session)
{
	return session->listener->options.tls == LISTENER_TLS_stls;
}

static void enter(struct session *session)
{
	const struct snapshot *snapshot = session->house->snapshot;
	const struct tls_server *server = snapshot->servers[session->listener_index];
	const struct tls_strength legacy = {
	    .profile = TLS_PROFILE_legacy,
	    .min_bits = (unsigned)session->listener->options.min_cipher_bits,
	};
	const struct tls_strength *exception = session->is_legacy ? &legacy : NULL;
	if (is_after_stls(session))
		stream_secure_server(&session->client, server, exception);
	else
		stream_secure_server_after_preface(&session->client, server, exception);
}

// The name itself goes before one that stands for many.
static void find_home(struct session *session)
{
	const struct listener_config *listener = session->listener;
	struct str name = tls_server_name(session->client.tls);
	enum tls_match best = TLS_MATCH_none;
	for (size_t i = 0; tls_name_is_host(name) && i < listener->num_server_names; i++) {
		const struct server_name *each = &listener->server_names[i];
		enum tls_match match = tls_name_match(each->name, name);
		if (match > best)
			session_be_at_home(session, each->backend);
		best = match > best ? match : best;
	}
}

static void on_secured(struct session *session)
{
	const struct tls *tls = session->client.tls;
	session->tls_version = tls_version(tls);
	session->tls_cipher = tls_cipher(tls);
	session->tls_group = tls_group(tls);
	session->tls_resumed = tls_was_resumed(tls);
	find_home(session);
	session_enter(session, is_after_stls(session) ? PHASE_command : PHASE_greeting);
}

enum reason session_handshake_failure(const struct session *session)
{
	const struct tls *tls = session->client.tls;
	return tls && tls_refused_name(tls) ? REASON_unknown_name : REASON_tls_failed;
}

static void on_due(struct session *session)
{
	session_close(session, REASON_handshake_timeout, NULL);
}

const struct phase_ops phase_handshake = {
    .enter = enter,
    .on_secured = on_secured,
    .on_due = on_due,
};
