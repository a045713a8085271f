// listen.c: accepting.  See listen.h.
#include "proxy/net/listen.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TAKEN_PER_TURN = 64,
	TAKEN_AT_LAST = 65535, // no queue is longer
	REST_MS = 100,         // when descriptors or memory are out
};

static bool accept_one(struct listen *listen)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int fd;
	do
		fd = accept4(
		    listen->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return false;
	struct addr peer = addr_of((struct sockaddr *)&from);
	listen->on_accepted(listen, fd, &peer);
	return true;
}

static void accept_some(struct listen *listen)
{
	for (int i = 0; i < TAKEN_PER_TURN; i++)
		if (!accept_one(listen))
			return;
	errno = EAGAIN;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct listen *listen = poll->data;
	(void)status;
	(void)events;
	accept_some(listen);
	if (errno == EAGAIN || listen->closing)
		return;
	listen->on_failed(listen);
	uv_poll_stop(poll);
	timer_set(&listen->rest, REST_MS);
}

static void on_rested(struct timer *timer)
{
	struct listen *listen = timer->uv.data;
	uv_poll_start(&listen->poll, UV_READABLE, on_readable);
}

bool listen_open(struct listen *listen, struct net *net, int fd)
{
	int status = uv_poll_init(&net->loop, &listen->poll, fd);
	if (status < 0) {
		errno = -status;
		return false;
	}
	timer_init(&listen->rest, net, on_rested);
	listen->net = net;
	listen->fd = fd;
	listen->poll.data = listen->rest.uv.data = listen;
	uv_poll_start(&listen->poll, UV_READABLE, on_readable);
	return true;
}

void listen_close(struct listen *listen)
{
	listen->closing = true;
	for (int i = 0; i < TAKEN_AT_LAST && accept_one(listen); i++)
		;
	uv_close((uv_handle_t *)&listen->poll, NULL);
	close(listen->fd);
	listen->fd = -1; // the number may be somebody else's from now on
	timer_close(&listen->rest, NULL);
}
