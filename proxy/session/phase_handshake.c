// phase_handshake.c: the client's TLS handshake, at once or after STLS.
//
// After STLS there is no second greeting (RFC 2595 section 4), and what came in
// the clear is no part of TLS; at once, what came behind a load balancer's
// header is.
#include "proxy/session/session_priv.h"

static bool is_after_stls(const struct session *session)
{
	return session->listener->options.tls == LISTENER_TLS_stls;
}

static void enter(struct session *session)
{
	const struct snapshot *snapshot = session->house->snapshot;
	const struct tls_server *server = snapshot->servers[session->listener_index];
	struct tls_strength legacy =
	    snapshot_strength(snapshot->config, &session->listener->options);
	legacy.profile = TLS_PROFILE_legacy;
	legacy.min_version = 0;
	const struct tls_strength *exception = session->is_legacy ? &legacy : NULL;
	if (!session_begin_handshake(session))
		return;
	if (is_after_stls(session))
		stream_secure_server(&session->client, server, exception);
	else
		stream_secure_server_after_preface(&session->client, server, exception);
}

static void on_secured(struct session *session)
{
	const struct tls *tls = session->client.tls;
	session->tls_version = tls_version(tls);
	session->tls_cipher = tls_cipher(tls);
	session->tls_group = tls_group(tls);
	session->tls_resumed = tls_was_resumed(tls);
	session_count_handshake(session);
	session_be_at_home(session, route_home(session->listener, tls_server_name(tls)));
	session->has_certificate = tls_peer_certificate(tls).len;
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
    .leave = session_end_handshake,
    .on_secured = on_secured,
    .on_due = on_due,
};
