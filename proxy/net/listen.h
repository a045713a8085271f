// listen.h: accepts connections from a listening socket.
//
// Used by the worker and the sample store.  The socket was opened elsewhere
// and is closed by listen_close: nobody may be left waiting in the queue of a
// socket that is no longer read.  Accepted sockets are non-blocking and
// close-on-exec, and take the listening socket's options with them.
//
// Several connections are taken per turn of the loop, so many that one busy
// port does not starve the sessions there are.  When descriptors run out,
// accepting rests for a moment and connections wait in the kernel.
//
// Not done with uv_listen: it does not tell the peer's address, and a last
// round at the end (see listen_close) is not to be had from it.
#ifndef POPGATE_PROXY_NET_LISTEN_H
#define POPGATE_PROXY_NET_LISTEN_H

#include "proxy/base/addr.h"
#include "proxy/net/timer.h"

struct listen {
	uv_poll_t poll;
	struct timer rest;
	struct net *net;
	int fd;
	// Takes over the accepted socket.
	void (*on_accepted)(struct listen *listen, int fd, const struct addr *peer);
	// Accepting failed, for the reason in errno.
	void (*on_failed)(struct listen *listen);
	void *context;
	bool closing;
};

// The members above on_accepted are filled in here, the others by the caller.
// Takes over fd; false with errno set, and fd still the caller's, when the
// socket cannot be watched.
bool listen_open(struct listen *listen, struct net *net, int fd);

// Accepts what already waits in the socket's queue, then closes the socket.
void listen_close(struct listen *listen);

#endif
