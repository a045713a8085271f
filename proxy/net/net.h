// net.h: a process's event loop, with what all its streams share.
//
// Made once by a worker (and by the sample store).  It owns the libuv loop,
// the two buffers that reads go through, and a queue of tasks to be run from
// the loop.
//
// One read buffer serves all streams: its content is used up, or copied into
// the stream that could not use it, before the next read.  So an idle stream
// holds no buffer at all.
#ifndef POPGATE_PROXY_NET_NET_H
#define POPGATE_PROXY_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
	NET_RAW_SIZE = 64 * 1024,
	// What one read can decrypt to: itself and a record that was waiting for
	// its last byte.
	NET_CLEAR_SIZE = NET_RAW_SIZE + 17 * 1024,
	// What NET_CLEAR_SIZE encrypts to, nearly.
	NET_CORK_SIZE = NET_CLEAR_SIZE + 1024,
	// An answer leaves when the turn ends, but at the latest when so many other
	// streams have something to say, or so many reads were served: libuv may look
	// for events many times in what it calls a turn.
	NET_CORKS = 16,
	NET_READS = 32,
};

struct stream;

// Something to be done from the loop, soon but not now.  Embedded in its
// owner; the zero state is idle.
struct net_task {
	void (*run)(struct net_task *task);
	struct net_task *next;
	struct net_task *previous; // NULL when not waiting
};

// Output of one stream, gathered within one turn of the loop: several records fit
// in one write(2), and a reply goes with the close_notify behind it.  What several
// streams have gathered leaves together, so that a peer on this machine is woken
// once for all of it.
struct net_cork {
	struct stream *stream; // NULL: free
	size_t len;
	bool secret; // to be wiped
	char *at;    // NET_CORK_SIZE bytes
};

struct net {
	uv_loop_t loop;
	uv_idle_t idle; // active while tasks wait, so that the loop does not sleep
	uv_prepare_t prepare;
	void (*before_sleep)(void); // NULL, or called before each wait for events
	struct net_task tasks;
	char *raw;   // NET_RAW_SIZE bytes as read
	char *clear; // NET_CLEAR_SIZE bytes as decrypted
	struct net_cork corks[NET_CORKS];
	unsigned num_reads; // since the corks were pulled
};

// Also has the process ignore SIGPIPE, which writing to a peer that has gone
// would raise.  Aborts when the kernel refuses an event loop.
void net_init(struct net *net);

// Everything on the loop must have reported that it is closed.
void net_done(struct net *net);

// Runs until nothing is left on the loop, nor in a cork.
void net_run(struct net *net);

// Waits for one event, or several at a time, and handles them.
void net_turn(struct net *net);

// Milliseconds of the loop's clock, which stands still within one callback.  It is
// CLOCK_MONOTONIC, and so the same in all processes.
static inline uint64_t net_now(const struct net *net)
{
	return uv_now(&net->loop);
}

// Has the task run once from the loop.  Asking again while it waits changes
// nothing; a task may ask for itself again.
void net_defer(struct net *net, struct net_task *task);
void net_cancel(struct net *net, struct net_task *task);

#endif
