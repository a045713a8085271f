// phase_refusal.c: a login was not accepted; the client's answer is held back for
// the delay that the failure costs.
//
// A client that does not wait gains nothing: the delay is noted in the shared
// pages too, for all its connections; and it gains nothing by leaving before the
// answer has come.  What is no fault of user or password costs nothing and is
// told at once.
//
// No answer is a failure too, once the store has the password: a store that hangs
// up on wrong ones, or does not answer them in time, must not make guessing free.
// A store that is gone before it is asked is none.  So an outage in the middle of
// logins can count against good users, but only a little: once a day for each
// user and password, however often a client tries, and an address where users are
// known has more failures free (policy/penalties.h); users known there are let in
// whatever the others do.
//
// What our own verifiers refuse is told in one text for all causes, and the delay
// runs from the moment they were asked: how long they took does not show.  Of users
// whom they have let in, no answer of the store's is a failure.
#include "proxy/session/session_priv.h"

#include "proxy/base/log.h"

// What says neither that user nor password are wrong is an outage, mostly.
static bool is_unjudged(const struct session *session)
{
	struct str answer = upstream_answer(&session->pending->upstream);
	enum reply own = session->pending->own_reply;
	return own == REPLIES ? !answer.len || !reply_doubts_login(answer)
	                      : own == REPLY_unavailable;
}

// Not as late as the answer, for which a client need not wait.
static void count(const struct session *session)
{
	if (is_unjudged(session))
		session_count_unjudged_login(session);
	else
		session_count_failed_login(session);
}

static void tell(struct session *session)
{
	if (session->pending->own_reply != REPLIES)
		session_reply(session, session->pending->own_reply);
	else if (upstream_answer(&session->pending->upstream).len)
		session_pass_on(session, true);
	else
		session_reply(session, REPLY_unavailable);
	session_login_failed(session);
}

void session_tell_refusal(struct session *session)
{
	uint64_t now = net_now(session->house->net);
	count(session);
	session_forget_secrets(session);
	if (session->pending->tell_at <= now) {
		tell(session);
		return;
	}
	session_enter(session, PHASE_refusal);
	timer_set(&session->timer, session->pending->tell_at - now);
}

// What tells one wrong try from another.  An answer to a challenge is never the same
// twice, so each counts, whatever password it was made from.
static struct str proof_of(const struct claim *claim)
{
	switch (claim->kind) {
	case CLAIM_plain: return secret_reveal(&claim->password);
	case CLAIM_ntlm:
	case CLAIM_msn:
		return claim->ntlm ? ntlm_exchange_question(claim->ntlm).nt
		                   : secret_reveal(&claim->token);
	case CLAIM_external: return claim->user;
	case CLAIM_digest: break;
	}
	return (struct str){(const char *)claim->digest.response, sizeof(claim->digest.response)};
}

static uint64_t count_failure(struct session *session)
{
	uint64_t now = net_now(session->house->net);
	return attempt_failed(&session->pending->attempt, proof_of(&session->claim), now);
}

// ---- the store's --------------------------------------------------------

static bool is_failure(const struct session *session)
{
	struct str answer = upstream_answer(&session->pending->upstream);
	if (session->judge)
		return false;
	return answer.len ? reply_doubts_login(answer)
	                  : upstream_has_asked(&session->pending->upstream);
}

// How long the client waits for the answer.
static uint64_t note_outcome(struct session *session)
{
	if (is_failure(session))
		return count_failure(session);
	attempt_end(&session->pending->attempt);
	return 0;
}

// A shutdown is ours, not the client's.
void session_leave_login(struct session *session)
{
	if (session->reason == REASON_shutdown)
		return;
	if (session->last_phase == PHASE_verify)
		count_failure(session);
	else
		note_outcome(session);
}

static void log_refusal(const struct session *session, const char *why)
{
	const char *untold = upstream_untold(&session->pending->upstream);
	session_log_login_failed(session, str_of(untold ? untold : why));
}

// Who is let in shall not be asked for another password; but a name that no store can be
// told is no outage, and to try again is of no use.
static void note_store_at_fault(struct session *session)
{
	struct str answer = upstream_answer(&session->pending->upstream);
	if (!session->judge || !answer.len || !reply_doubts_login(answer))
		return;
	log_refusal(session, "the store refuses whom a verifier has accepted");
	session->pending->own_reply =
	    upstream_untold(&session->pending->upstream) ? REPLY_claim : REPLY_unavailable;
}

// Where users.db was asked first, the store's text and time would tell who is there.
static void hide_who_judged(struct session *session, uint64_t delay)
{
	struct str answer = upstream_answer(&session->pending->upstream);
	if (session->judge || !session->verification || !answer.len || !reply_doubts_login(answer))
		return;
	log_refusal(session, "the store refuses the login");
	session->pending->own_reply = REPLY_claim;
	session->pending->tell_at = session->pending->judged_at + delay;
}

void session_refuse_login(struct session *session)
{
	uint64_t delay = note_outcome(session);
	session->pending->tell_at = net_now(session->house->net) + delay;
	note_store_at_fault(session);
	hide_who_judged(session, delay);
	session_tell_refusal(session);
}

// ---- our verifiers' -----------------------------------------------------

void session_reject_login(struct session *session, const char *why)
{
	session->pending->tell_at = session->pending->judged_at + count_failure(session);
	session_log_login_failed(session, str_of(why));
	if (session_waits_for_client(session)) {
		session_abandon_challenge(session, REPLY_claim);
		return;
	}
	session->pending->own_reply = REPLY_claim;
	session_tell_refusal(session);
}

void session_cannot_judge(struct session *session, const char *why)
{
	attempt_end(&session->pending->attempt);
	session_log_login_failed(session, str_of(why));
	session->pending->own_reply = REPLY_unavailable;
	count(session);
	tell(session);
}

const struct phase_ops phase_refusal = {.on_due = tell};
