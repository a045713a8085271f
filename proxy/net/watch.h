// watch.h: tells when a descriptor of somebody else's can be read.
//
// Used by the worker for its channel to the supervisor, and by signer.c.  The descriptor is
// borrowed; watching it does not keep the loop running.
#ifndef POPGATE_PROXY_NET_WATCH_H
#define POPGATE_PROXY_NET_WATCH_H

#include "proxy/net/net.h"

struct watch {
	uv_poll_t poll;
	void (*on_readable)(struct watch *watch);
	void *context; // the owner's
	bool open;
};

// on_readable is filled in by the caller.  False with errno set when the
// descriptor cannot be watched.
bool watch_open(struct watch *watch, struct net *net, int fd);

// Once is enough, and more than once does no harm.
void watch_close(struct watch *watch);

#endif
