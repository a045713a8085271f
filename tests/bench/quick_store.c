// quick_store.c: a store that takes every login at once and has no mail, so that a
// benchmark measures popgate.
//
//     bazel-bin/tests/bench/quick_store     prints its port, and serves until killed
//
// Anything is answered +OK, AUTH with an empty challenge first.
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/net/listen.h"
#include "proxy/net/stream.h"
#include "tests/kit/tcp.h"

static struct net net;

static size_t on_bytes(struct stream *stream, struct str bytes)
{
	size_t used = 0, len;
	while ((len = str_find(str_drop(bytes, used), '\n') + 1) <= bytes.len - used) {
		struct str line = str_take(str_drop(bytes, used), len);
		bool is_auth = str_starts_nocase(line, STR("AUTH"));
		used += len;
		stream_write(stream, is_auth ? STR("+ \r\n") : STR("+OK 0 0\r\n"));
		if (str_starts_nocase(line, STR("QUIT"))) {
			stream_close_gently(stream);
			return bytes.len;
		}
	}
	return used;
}

static void on_event(struct stream *stream, enum stream_event event)
{
	if (event == STREAM_CLOSED)
		free(stream);
	else if (event == STREAM_ENDED || event == STREAM_FAILED)
		stream_close(stream);
}

static const struct stream_owner owner = {on_bytes, on_event};

static void on_accepted(struct listen *listen, int fd, const struct addr *peer)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));
	(void)listen;
	(void)peer;
	if (!stream_open(stream, &net, fd, &owner, NULL)) {
		stream_close(stream);
		return;
	}
	stream_write(stream, STR("+OK\r\n"));
	stream_resume(stream);
}

static void on_failed(struct listen *listen)
{
	(void)listen;
	perror("quick_store cannot accept");
	exit(EXIT_FAILURE);
}

int main(void)
{
	struct addr addr;
	struct listen listen = {.on_accepted = on_accepted, .on_failed = on_failed};
	net_init(&net);
	int fd = tcp_listen(&addr);
	tcp_set_nonblocking(fd);
	BUG_ON(!listen_open(&listen, &net, fd));
	printf("%u\n", addr_port(&addr));
	fflush(stdout);
	net_run(&net);
	return EXIT_SUCCESS;
}
