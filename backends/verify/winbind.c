// winbind.c: from requests to helpers and back.  See winbind.h.
//
//     requests   oldest [asked] [asked] [waits] [waits] youngest     deadlines in this order
//                          |       |
//     helpers            [busy]  [busy]  [idle]  [none yet]
//
// Asked by password, ntlm_auth says No without a reason, whether the password was
// wrong or winbind is down.  Then it is asked about nobody, by response: only when a
// domain controller does not know him has the password been judged.
#include "backends/verify/winbind.h"

#include <stdlib.h>
#include <unistd.h>

#include "backends/verify/helper_reply.h"
#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/net/stream.h"

struct winbind_helper {
	struct winbind *winbind;
	struct stream stream;
	struct helper_reply reply;       // reply.is_asked: it is busy
	struct winbind_request *request; // NULL: idle, or who asked does not care any more
	uint64_t deadline_ms;
	bool exists;  // the stream is on the loop
	bool is_gone; // given up: the stream closes
};

struct winbind {
	struct net *net;
	struct winbind_settings settings;
	struct winbind_helper *helpers;
	struct winbind_request *oldest, *youngest;
	size_t num_requests;
	struct net_task task; // hands out requests
	struct timer timer;   // of the earliest deadline, or earlier
	bool is_timed;
	bool is_failing; // so says the log
	bool is_closed;
};

// ---- requests -----------------------------------------------------------

static void link_request(struct winbind *winbind, struct winbind_request *request)
{
	request->next = NULL;
	request->previous = winbind->youngest;
	*(winbind->youngest ? &winbind->youngest->next : &winbind->oldest) = request;
	winbind->youngest = request;
	winbind->num_requests++;
}

static void unlink_request(struct winbind *winbind, struct winbind_request *request)
{
	*(request->previous ? &request->previous->next : &winbind->oldest) = request->next;
	*(request->next ? &request->next->previous : &winbind->youngest) = request->previous;
	if (request->helper)
		request->helper->request = NULL;
	request->helper = NULL;
	request->is_under_way = false;
	winbind->num_requests--;
}

static void finish(struct winbind_request *request, enum winbind_result result, const char *why,
    const uint8_t *session_key)
{
	unlink_request(request->winbind, request);
	request->why = why;
	request->session_key = session_key;
	request->on_done(request, result);
}

// Tells the log when winbind stops judging and when it judges again.
static void note(struct winbind *winbind, bool is_failing, struct str why)
{
	if (is_failing == winbind->is_failing)
		return;
	winbind->is_failing = is_failing;
	log_why(is_failing ? LOG_winbind_failed : LOG_winbind_back, "%.*s", STR_ARG(why));
}

static void note_judged(struct winbind *winbind)
{
	note(winbind, false, STR("a login was judged"));
}

static void fail(struct winbind_request *request, const char *why)
{
	note(request->winbind, true, str_of(why));
	finish(request, WINBIND_UNAVAILABLE, why, NULL);
}

static void wake(struct winbind *winbind)
{
	if (!winbind->is_closed)
		net_defer(winbind->net, &winbind->task);
}

// ---- deadlines ----------------------------------------------------------

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

// Deadlines come in the order in which requests do, so that a timer that runs is
// early enough.
static void set_timer(struct winbind *winbind)
{
	uint64_t due = winbind->oldest ? winbind->oldest->deadline_ms : UINT64_MAX;
	uint64_t now = net_now(winbind->net);
	if (winbind->is_timed || winbind->is_closed)
		return;
	for (size_t i = 0; i < winbind->settings.helpers; i++)
		if (winbind->helpers[i].reply.is_asked)
			due = earlier(due, winbind->helpers[i].deadline_ms);
	winbind->is_timed = due != UINT64_MAX;
	if (winbind->is_timed)
		timer_set(&winbind->timer, due > now ? due - now : 0);
}

// ---- helpers ------------------------------------------------------------

// What it had waits for another one, but only once: it may be the question that kills
// them.
static void give_up(struct winbind_helper *helper, const char *why)
{
	struct winbind_request *request = helper->request;
	if (helper->is_gone)
		return;
	helper->is_gone = true;
	helper->reply.is_asked = false;
	stream_close(&helper->stream);
	if (!request)
		return;
	if (request->is_tried || request->deadline_ms <= net_now(request->winbind->net)) {
		fail(request, why);
		return;
	}
	request->is_tried = true;
	request->helper = NULL;
	helper->request = NULL;
	wake(request->winbind);
}

static void ask(struct winbind_helper *helper, struct winbind_request *request)
{
	struct helper_question nobody =
	    helper_question_about_nobody(request->question.about.domain);
	struct buf question = {0};
	bool can_ask =
	    helper_question_write(request->is_doubtful ? &nobody : &request->question, &question);
	if (can_ask) {
		helper->request = request;
		helper->deadline_ms = request->deadline_ms;
		request->helper = helper;
		request->is_one_too_many = false;
		helper_reply_begin(&helper->reply);
		stream_write(&helper->stream, buf_str(&question));
	}
	buf_done(&question);
	if (!can_ask)
		finish(request, WINBIND_REJECTED, "such a name or password cannot be asked about",
		    NULL);
}

static void refuse(struct winbind_request *request, const char *why)
{
	note_judged(request->winbind);
	finish(request, WINBIND_REJECTED, why, NULL);
}

static void leave_open(struct winbind_request *request, struct str said)
{
	note(request->winbind, true, said.len ? said : STR("a helper says No, and not why"));
	finish(request, WINBIND_UNAVAILABLE, "winbind could not judge", NULL);
}

static void judge_refused(struct winbind_request *request, struct str said)
{
	const char *refusal = helper_refusal(said);
	if (refusal) {
		refuse(
		    request, request->is_doubtful ? "no such account, or wrong password" : refusal);
	} else if (request->question.by_password && !request->is_doubtful && !said.len) {
		request->is_doubtful = true;
		wake(request->winbind);
	} else {
		leave_open(request, said);
	}
}

static void take_answer(struct winbind_helper *helper)
{
	struct winbind_request *request = helper->request;
	const struct helper_reply *reply = &helper->reply;
	helper->request = NULL;
	wake(helper->winbind);
	if (!request)
		return;
	request->helper = NULL;
	if (!reply->accepted || request->is_doubtful) {
		judge_refused(request, helper_reply_said(reply));
		return;
	}
	note_judged(helper->winbind);
	finish(request, WINBIND_ACCEPTED, NULL, reply->has_key ? reply->key : NULL);
}

static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct winbind_helper *helper = stream->context;
	enum helper_progress progress;
	size_t used = helper_reply_take(&helper->reply, bytes, &progress);
	if (progress == HELPER_WHOLE)
		take_answer(helper);
	else if (progress == HELPER_BROKEN)
		give_up(helper, "a helper said what is no answer");
	return used;
}

static void on_event(struct stream *stream, enum stream_event event)
{
	struct winbind_helper *helper = stream->context;
	struct winbind *winbind = helper->winbind;
	switch (event) {
	case STREAM_ENDED:
	case STREAM_FAILED: give_up(helper, "a helper ended"); return;
	case STREAM_CLOSED:
		helper->exists = false;
		if (!winbind->is_closed)
			winbind->settings.want_helper(winbind->settings.context);
		return;
	case STREAM_CONNECTED:
	case STREAM_SECURED:
	case STREAM_DRAINED: return;
	}
}

static const struct stream_owner helper_owner = {on_bytes, on_event};

static struct winbind_helper *find_idle(struct winbind *winbind)
{
	for (size_t i = 0; i < winbind->settings.helpers; i++) {
		struct winbind_helper *helper = &winbind->helpers[i];
		if (helper->exists && !helper->is_gone && !helper->reply.is_asked)
			return helper;
	}
	return NULL;
}

static struct winbind_request *find_waiting(struct winbind *winbind)
{
	struct winbind_request *request = winbind->oldest;
	while (request && request->helper)
		request = request->next;
	return request;
}

static void run_task(struct net_task *task)
{
	struct winbind *winbind = (void *)((char *)task - offsetof(struct winbind, task));
	struct winbind_helper *idle;
	struct winbind_request *request;
	while ((request = winbind->youngest) && request->is_one_too_many)
		finish(request, WINBIND_UNAVAILABLE, "too many logins wait for winbind", NULL);
	while ((idle = find_idle(winbind)) && (request = find_waiting(winbind)))
		ask(idle, request);
	set_timer(winbind);
}

static void on_due(struct timer *timer)
{
	struct winbind *winbind = (void *)((char *)timer - offsetof(struct winbind, timer));
	uint64_t now = net_now(winbind->net);
	winbind->is_timed = false;
	for (size_t i = 0; i < winbind->settings.helpers; i++) {
		struct winbind_helper *helper = &winbind->helpers[i];
		if (helper->reply.is_asked && helper->deadline_ms <= now)
			give_up(helper, "a helper did not answer in time");
	}
	while (winbind->oldest && winbind->oldest->deadline_ms <= now)
		fail(winbind->oldest, "no helper was there in time");
	set_timer(winbind);
}

// ---- from outside -------------------------------------------------------

struct winbind *winbind_open(struct net *net, const struct winbind_settings *settings)
{
	struct winbind *winbind = xcalloc(1, sizeof(*winbind));
	winbind->net = net;
	winbind->settings = *settings;
	winbind->helpers = xcalloc(settings->helpers, sizeof(*winbind->helpers));
	winbind->task.run = run_task;
	timer_init(&winbind->timer, net, on_due);
	for (size_t i = 0; i < settings->helpers; i++)
		settings->want_helper(settings->context);
	return winbind;
}

static struct winbind_helper *find_place(struct winbind *winbind)
{
	for (size_t i = 0; i < winbind->settings.helpers && !winbind->is_closed; i++)
		if (!winbind->helpers[i].exists)
			return &winbind->helpers[i];
	return NULL;
}

void winbind_add_helper(struct winbind *winbind, int fd)
{
	struct winbind_helper *place = find_place(winbind);
	if (!place) {
		close(fd);
		return;
	}
	*place = (struct winbind_helper){.winbind = winbind, .exists = true};
	if (!stream_open(&place->stream, winbind->net, fd, &helper_owner, place))
		return; // STREAM_FAILED comes
	place->stream.secret = true;
	stream_resume(&place->stream);
	wake(winbind);
}

struct str winbind_domain(const struct winbind *winbind)
{
	return winbind->settings.domain;
}

void winbind_start(struct winbind_request *request)
{
	struct winbind *winbind = request->winbind;
	request->is_under_way = true;
	request->is_one_too_many = winbind->num_requests >= WINBIND_REQUESTS;
	request->is_tried = request->is_doubtful = false;
	request->helper = NULL;
	request->deadline_ms = net_now(winbind->net) + winbind->settings.timeout_ms;
	link_request(winbind, request);
	wake(winbind);
}

void winbind_cancel(struct winbind_request *request)
{
	if (request->is_under_way)
		unlink_request(request->winbind, request);
}

void winbind_close(struct winbind *winbind)
{
	if (winbind->is_closed)
		return;
	BUG_ON(winbind->oldest);
	winbind->is_closed = true;
	net_cancel(winbind->net, &winbind->task);
	timer_close(&winbind->timer, NULL);
	for (size_t i = 0; i < winbind->settings.helpers; i++)
		if (winbind->helpers[i].exists)
			give_up(&winbind->helpers[i], "");
}

void winbind_free(struct winbind **winbind)
{
	if (!*winbind)
		return;
	free((*winbind)->helpers);
	free(*winbind);
	*winbind = NULL;
}
