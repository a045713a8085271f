// handshakes.c: the TLS handshakes under way in a worker: how many there may be, and
// who goes when there are too many.
//
// Whoever opens connections and goes no further must not lock out those who do: so it is
// not the newcomer that goes, but the oldest of those without a whole ClientHello or of
// those with one, of which there are more.  So neither an attacker who says nothing nor
// one who says hello and no more can take the places of both.  A good client is through
// before it has become the oldest: as long as an attacker does not open half of
// max_handshakes connections within a round trip or two.  From one address so many cannot
// come (max_handshakes_per_ip); there the newcomer goes, since the others are its own.
//
// A session stands in one of the house's lists: of those whose hello is not there, as
// far as was looked; of those that shake hands with it; of all others.
#include "proxy/session/session_priv.h"

enum { COMPLAINT_MS = 10 * 1000 }; // between two lines of a worker

void session_move(struct session *session, struct session_list *to)
{
	struct session_list *from = session->list;
	if (from) {
		*(session->previous ? &session->previous->next : &from->first) = session->next;
		*(session->next ? &session->next->previous : &from->last) = session->previous;
		from->num--;
	}
	session->list = to;
	session->next = NULL;
	session->previous = to ? to->last : NULL;
	if (!to)
		return;
	*(to->last ? &to->last->next : &to->first) = session;
	to->last = session;
	to->num++;
}

// Those that have said hello since are found here, each once.
static struct session *find_victim(struct sessions *house)
{
	struct session *oldest;
	while ((oldest = house->half_open.first) && tls_has_hello(oldest->client.tls))
		session_move(oldest, &house->shaking);
	return house->half_open.num < house->shaking.num ? house->shaking.first : oldest;
}

// An attack is told in few lines, however fierce it is; each session has its own.
static void complain(struct sessions *house)
{
	uint64_t now = net_now(house->net);
	struct log_line line;
	house->num_shed++;
	if (house->shed_told && now - house->shed_told < COMPLAINT_MS)
		return;
	house->shed_told = now;
	log_begin(&line, LOG_handshakes_shed);
	log_u64(&line, "sessions", house->num_shed);
	log_end(&line);
	house->num_shed = 0;
}

bool session_begin_handshake(struct session *session)
{
	struct sessions *house = session->house;
	uint64_t max = house->snapshot->config->site.max_handshakes;
	uint64_t key = limits_key_handshake(str_of(session->listener->name), &session->peer);
	if (!limits_take(house->limits, key, session->listener->options.max_handshakes_per_ip,
	        &session->places[PLACE_handshake])) {
		session_close(session, REASON_max_handshakes_per_ip, NULL);
		return false;
	}
	if (house->half_open.num + house->shaking.num >= max) {
		session_close(find_victim(house), REASON_handshake_shed, NULL);
		complain(house);
	}
	session_move(session, &house->half_open);
	return true;
}

void session_end_handshake(struct session *session)
{
	limits_give_back(session->house->limits, &session->places[PLACE_handshake]);
	session_move(session, &session->house->others);
}
