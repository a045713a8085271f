// timer.h: one deadline on the loop, embedded in its owner.
//
// Used by the session, the upstream dialogue and listeners.  Setting it again
// moves it.  Its memory is the owner's again after on_closed.
#ifndef POPGATE_PROXY_NET_TIMER_H
#define POPGATE_PROXY_NET_TIMER_H

#include "proxy/net/net.h"

struct timer {
	uv_timer_t uv;
	uint64_t due_at; // by net_now
	void (*on_due)(struct timer *timer);
	void (*on_closed)(struct timer *timer);
};

void timer_init(struct timer *timer, struct net *net, void (*on_due)(struct timer *timer));
void timer_set(struct timer *timer, uint64_t ms);
void timer_clear(struct timer *timer);
void timer_close(struct timer *timer, void (*on_closed)(struct timer *timer));

#endif
