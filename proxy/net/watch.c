// watch.c: watching a descriptor.  See watch.h.
#include "proxy/net/watch.h"

#include <errno.h>

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = (struct watch *)poll;
	(void)status;
	(void)events;
	watch->on_readable(watch);
}

bool watch_open(struct watch *watch, struct net *net, int fd)
{
	int status = uv_poll_init(&net->loop, &watch->poll, fd);
	if (status == 0)
		status = uv_poll_start(&watch->poll, UV_READABLE, on_poll);
	uv_unref((uv_handle_t *)&watch->poll);
	errno = -status;
	watch->open = status == 0;
	return watch->open;
}

void watch_close(struct watch *watch)
{
	if (watch->open)
		uv_close((uv_handle_t *)&watch->poll, NULL);
	watch->open = false;
}
