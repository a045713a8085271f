// phase_proxy.c: what the load balancer in front says before the client's first
// byte: who the client is (PROXY protocol).
//
// Only of listeners with proxy_from.  Whoever may send a header may be whoever
// he likes, so it is taken from the listed addresses only; and a listed one
// must send it, since without it all clients would be that one.  Behind the
// header the session goes on as if the client itself had just connected.
#include "proxy/session/session_priv.h"

#include "policy/range.h"
#include "proxy/net/proxy_header.h"

static bool is_load_balancer(const struct session *session)
{
	const struct addr_range *ranges =
	    session->house->snapshot->load_balancers[session->listener_index];
	for (size_t i = 0; i < session->listener->options.proxy_from.num; i++)
		if (range_contains(&ranges[i], &session->peer))
			return true;
	return false;
}

static void enter(struct session *session)
{
	if (!is_load_balancer(session))
		session_close(session, REASON_proxy_untrusted, NULL);
}

static void take_header(struct session *session, const struct proxy_header *header)
{
	if (!header->is_local) {
		session->via = session->peer;
		session->peer = header->source;
		session->local = header->destination;
	}
	session_admit(session);
}

static size_t on_bytes(struct session *session, struct str bytes)
{
	struct proxy_header header;
	size_t used;
	switch (proxy_header_parse(bytes, &header, &used)) {
	case PROXY_INCOMPLETE: return 0;
	case PROXY_DONE: take_header(session, &header); return used;
	case PROXY_BAD: break;
	}
	session_close(session, REASON_proxy_bad_header, header.why);
	return bytes.len;
}

static void on_due(struct session *session)
{
	session_close(session, REASON_proxy_timeout, NULL);
}

const struct phase_ops phase_proxy = {
    .enter = enter,
    .on_bytes = on_bytes,
    .on_ended = session_client_left,
    .on_due = on_due,
};
