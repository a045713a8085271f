// winbind.h: the helpers of one worker, and who waits for their answers.
//
// Made by the worker, which passes on what it says of helpers: it wants one, and gets
// one, from the supervisor (proxy/server/helpers.h), as a socket.  Asked by the
// verifier (verify_winbind.c).
//
// A helper answers one question at a time.  Requests wait in the order in which they
// came, each until its own deadline.  A helper that does not answer by then, ends, or
// says what is no answer is given up and another one wanted; the request that it had
// is asked once more, of another, if there is time.
//
// A request follows the contract of everything that waits:
//   1. winbind_start never calls on_done before it returns.
//   2. on_done is called exactly once, within `timeout`, unless it is cancelled.
//   3. After winbind_cancel it is not called.
//   4. The memory is the owner's; within on_done it may be started again.
//   5. What the question borrows stays until the end.
//
// Not taken: processes of the worker's own.  It may start none (filter.def), and the
// supervisor's are gone when it is.
#ifndef POPGATE_BACKENDS_VERIFY_WINBIND_H
#define POPGATE_BACKENDS_VERIFY_WINBIND_H

#include "backends/verify/helper_question.h"
#include "proxy/net/net.h"
#include "proxy/net/timer.h"

// More than these do not wait at a time.
enum { WINBIND_REQUESTS = 1000 };

enum winbind_result {
	WINBIND_ACCEPTED,
	WINBIND_REJECTED,    // a domain controller said no
	WINBIND_UNAVAILABLE, // nobody has judged it
};

struct winbind;
struct winbind_helper;

struct winbind_settings {
	size_t helpers;      // as many as there shall be
	uint64_t timeout_ms; // from the start of a request to its end
	struct str domain;   // of users who give none; empty: winbind's own.  Borrowed
	// A helper is wanted: winbind_add_helper is to be called, at any time.
	void (*want_helper)(void *context);
	void *context;
};

// One question being asked; embedded in its owner, zero at first.
struct winbind_request {
	// filled in by the owner
	struct winbind *winbind;
	struct helper_question question;
	void (*on_done)(struct winbind_request *request, enum winbind_result result);

	// within on_done
	const char *why;            // when not accepted; static, for the log
	const uint8_t *session_key; // 16 bytes: the session base key; NULL: none was given

	// the pool's
	struct winbind_request *previous, *next; // older and younger
	struct winbind_helper *helper;           // that has it; NULL: it waits
	uint64_t deadline_ms;
	bool is_under_way;
	bool is_one_too_many;
	bool is_tried;    // by a helper that was given up
	bool is_doubtful; // was answered No without a reason: asked is now about nobody
};

// Wants its helpers at once.
struct winbind *winbind_open(struct net *net, const struct winbind_settings *settings);

// Takes over `fd`, a socket to a helper that has just been started.
void winbind_add_helper(struct winbind *winbind, int fd);

// The domain of users who give none.
struct str winbind_domain(const struct winbind *winbind);

void winbind_start(struct winbind_request *request);
void winbind_cancel(struct winbind_request *request);

// Lets the helpers go; nobody may wait.  Once is enough, more does no harm.
void winbind_close(struct winbind *winbind);

// Once the loop has ended; *winbind may be NULL and is afterwards.
void winbind_free(struct winbind **winbind);

#endif
