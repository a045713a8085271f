// name_server.c: a name server that obeys.  See name_server.h.
#include "tests/kit/name_server.h"

#include <errno.h>
#include <unistd.h>

#include "tests/kit/check.h"
#include "tests/kit/tcp.h"

enum { QUERY_MAX = 1024, BINDS = 100, ROOM = 1024 * 1024 };

static void hear(struct name_server *server, struct str query)
{
	server->heard++;
	server->on_query(server, query);
}

static void on_datagram(struct watch *watch)
{
	struct name_server *server = (void *)((char *)watch - offsetof(struct name_server, watch));
	char query[QUERY_MAX];
	for (;;) {
		socklen_t len = sizeof(server->peer);
		ssize_t got =
		    recvfrom(server->udp, query, sizeof(query), 0, &server->peer.any, &len);
		if (got < 0)
			break;
		server->is_tcp = false;
		hear(server, (struct str){query, (size_t)got});
	}
	assert_int_equal(errno, EAGAIN);
}

// RFC 1035 section 4.2.2: each message behind its length.
static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct name_server *server = stream->context;
	size_t taken = 0;
	while (bytes.len - taken >= 2) {
		struct str rest = str_drop(bytes, taken);
		size_t len = (size_t)((unsigned char)rest.at[0] << 8 | (unsigned char)rest.at[1]);
		if (rest.len < 2 + len)
			break;
		server->is_tcp = true;
		server->stream = stream;
		hear(server, str_take(str_drop(rest, 2), len));
		taken += 2 + len;
	}
	return taken;
}

static void on_event(struct stream *stream, enum stream_event event)
{
	if (event == STREAM_ENDED || event == STREAM_FAILED)
		stream_close(stream);
}

static const struct stream_owner owner = {on_bytes, on_event};

static void on_visit(struct listen *listen, int fd, const struct addr *peer)
{
	struct name_server *server = listen->context;
	(void)peer;
	assert_true(server->num_visits < NAME_SERVER_VISITS);
	struct stream *stream = &server->visits[server->num_visits++];
	assert_true(stream_open(stream, server->net, fd, &owner, server));
	stream_resume(stream);
}

// The port that the kernel chose for TCP may be taken for UDP.
static int bind_both(struct name_server *server)
{
	for (int i = 0; i < BINDS; i++) {
		int tcp = tcp_listen(&server->addr);
		server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (bind(server->udp, &server->addr.any, addr_len(&server->addr)) == 0)
			return tcp;
		close(server->udp);
		close(tcp);
	}
	fail_msg("no port is free for TCP and UDP: %s", strerror(errno));
	return -1;
}

void name_server_open(struct name_server *server, struct net *net)
{
	int tcp = bind_both(server);
	int room = ROOM;
	setsockopt(server->udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	server->net = net;
	server->watch.on_readable = on_datagram;
	assert_true(watch_open(&server->watch, net, server->udp));
	server->listen.on_accepted = on_visit;
	server->listen.context = server;
	tcp_set_nonblocking(tcp);
	assert_true(listen_open(&server->listen, net, tcp));
}

void name_server_send(struct name_server *server, const struct dns_message *message)
{
	struct str bytes = dns_message_str(message);
	if (server->is_tcp) {
		stream_write(
		    server->stream, BYTES((char)(bytes.len >> 8), (char)(bytes.len & 0xff)));
		stream_write(server->stream, bytes);
		return;
	}
	ssize_t sent =
	    sendto(server->udp, bytes.at, bytes.len, 0, &server->peer.any, addr_len(&server->peer));
	assert_int_equal(sent, bytes.len);
}

void name_server_close(struct name_server *server)
{
	watch_close(&server->watch);
	close(server->udp);
	listen_close(&server->listen);
	for (unsigned i = 0; i < server->num_visits; i++)
		stream_close(&server->visits[i]);
}
