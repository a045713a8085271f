// net.c: the loop, its buffers and its tasks.  See net.h.
#include "proxy/net/net.h"

#include <signal.h>
#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/net/stream_priv.h"

static bool has_tasks(const struct net *net)
{
	return net->tasks.next != &net->tasks;
}

static void unlink_task(struct net_task *task)
{
	task->previous->next = task->next;
	task->next->previous = task->previous;
	task->next = task->previous = NULL;
}

// Runs what waits now; what these tasks ask for runs in the next turn, so that
// a task which asks for itself cannot starve the sockets.
static void run_tasks(uv_idle_t *idle)
{
	struct net *net = idle->data;
	struct net_task last = {0};
	last.previous = net->tasks.previous;
	last.next = &net->tasks;
	last.previous->next = &last;
	net->tasks.previous = &last;
	while (net->tasks.next != &last) {
		struct net_task *task = net->tasks.next;
		unlink_task(task);
		task->run(task);
	}
	unlink_task(&last);
	if (!has_tasks(net))
		uv_idle_stop(idle);
}

static void before_sleep(uv_prepare_t *prepare)
{
	struct net *net = prepare->data;
	stream_pull_corks(net);
	if (net->before_sleep)
		net->before_sleep();
}

// libuv's first stream opens /dev/null for the day descriptors run out.  It is
// made here, since a worker may open no file later, and every stream that finds
// it missing tries again: two system calls for each.
static void make_first_stream(struct net *net)
{
	uv_tcp_t first;
	uv_tcp_init(&net->loop, &first);
	uv_close((uv_handle_t *)&first, NULL);
	uv_run(&net->loop, UV_RUN_NOWAIT);
}

void net_init(struct net *net)
{
	signal(SIGPIPE, SIG_IGN);
	int failed = uv_loop_init(&net->loop);
	BUG_ON(failed);
	make_first_stream(net);
	uv_idle_init(&net->loop, &net->idle);
	uv_prepare_init(&net->loop, &net->prepare);
	uv_unref((uv_handle_t *)&net->prepare);
	net->idle.data = net->prepare.data = net;
	net->before_sleep = NULL;
	uv_prepare_start(&net->prepare, before_sleep);
	net->tasks.next = net->tasks.previous = &net->tasks;
	net->raw = xmalloc(NET_RAW_SIZE);
	net->clear = xmalloc(NET_CLEAR_SIZE);
	for (size_t i = 0; i < NET_CORKS; i++)
		net->corks[i] = (struct net_cork){.at = xmalloc(NET_CORK_SIZE)};
	net->num_reads = 0;
}

void net_done(struct net *net)
{
	uv_close((uv_handle_t *)&net->idle, NULL);
	uv_close((uv_handle_t *)&net->prepare, NULL);
	uv_run(&net->loop, UV_RUN_NOWAIT);
	int failed = uv_loop_close(&net->loop);
	BUG_ON(failed);
	free(net->raw);
	free(net->clear);
	for (size_t i = 0; i < NET_CORKS; i++)
		free(net->corks[i].at);
}

void net_run(struct net *net)
{
	do {
		uv_run(&net->loop, UV_RUN_DEFAULT);
		stream_pull_corks(net);
	} while (uv_loop_alive(&net->loop));
}

void net_turn(struct net *net)
{
	uv_run(&net->loop, UV_RUN_ONCE);
	stream_pull_corks(net);
}

void net_defer(struct net *net, struct net_task *task)
{
	if (task->previous)
		return;
	if (!has_tasks(net))
		uv_idle_start(&net->idle, run_tasks);
	task->next = &net->tasks;
	task->previous = net->tasks.previous;
	task->previous->next = task;
	net->tasks.previous = task;
}

void net_cancel(struct net *net, struct net_task *task)
{
	if (!task->previous)
		return;
	unlink_task(task);
	if (!has_tasks(net))
		uv_idle_stop(&net->idle);
}
