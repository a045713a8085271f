// timer.c: deadlines over uv_timer_t.  See timer.h.
//
// Most deadlines are moved further away, by every line of every client, and are
// never met.  So libuv's heap is touched only when one comes nearer; what libuv was
// asked for before is let through, and the rest of the way asked for then.
#include "proxy/net/timer.h"

static void on_uv_due(uv_timer_t *uv)
{
	struct timer *timer = (struct timer *)uv;
	uint64_t now = uv_now(uv->loop);
	if (timer->due_at > now)
		uv_timer_start(uv, on_uv_due, timer->due_at - now, 0);
	else
		timer->on_due(timer);
}

static void on_uv_closed(uv_handle_t *uv)
{
	struct timer *timer = (struct timer *)uv;
	if (timer->on_closed)
		timer->on_closed(timer);
}

void timer_init(struct timer *timer, struct net *net, void (*on_due)(struct timer *timer))
{
	uv_timer_init(&net->loop, &timer->uv);
	timer->on_due = on_due;
}

void timer_set(struct timer *timer, uint64_t ms)
{
	timer->due_at = uv_now(timer->uv.loop) + ms;
	if (!uv_is_active((uv_handle_t *)&timer->uv) || uv_timer_get_due_in(&timer->uv) > ms)
		uv_timer_start(&timer->uv, on_uv_due, ms, 0);
}

void timer_clear(struct timer *timer)
{
	uv_timer_stop(&timer->uv);
}

void timer_close(struct timer *timer, void (*on_closed)(struct timer *timer))
{
	timer->on_closed = on_closed;
	uv_close((uv_handle_t *)&timer->uv, on_uv_closed);
}
