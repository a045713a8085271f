// timer.c: deadlines over uv_timer_t.  See timer.h.
#include "proxy/net/timer.h"

static void on_uv_due(uv_timer_t *uv)
{
	struct timer *timer = (struct timer *)uv;
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
