// fetcher.h: one HTTP exchange at a time, by a child of the supervisor's that knows and may
// nothing (net/fetch.h).
//
// Driven by the supervisor's loop, which polls `output`, reports the child's end and calls
// fetcher_tick; nothing here waits.  The child has left the supervisor's memory behind by
// execve(2), is the workers' user, and is killed when it takes too long.  fetcher_init
// makes one that is not running.
#ifndef POPGATE_PROXY_SERVER_FETCHER_H
#define POPGATE_PROXY_SERVER_FETCHER_H

#include <sys/types.h>

#include "proxy/base/buf.h"
#include "proxy/net/fetch.h"
#include "proxy/server/sandbox.h"

struct fetcher {
	pid_t pid;  // 0: none is running
	int output; // -1: none
	uint64_t deadline_ms;
	bool is_late;
	struct buf said;
};

void fetcher_init(struct fetcher *fetcher);

// POSTs the question to the URL, as `identity`.  False with the reason in *why.
__attribute__((warn_unused_result)) bool fetcher_start(struct fetcher *fetcher, const char *url,
    struct str question, const struct sandbox_identity *identity, struct text *why);

// Reads what there is by now; kills a child whose time is over.
void fetcher_tick(struct fetcher *fetcher, uint64_t now_ms);

// Its child has ended with this status.  The answer is the caller's, to be given up by
// buf_done.  False with the reason in *why when there is none.
__attribute__((warn_unused_result)) bool fetcher_ended(
    struct fetcher *fetcher, int status, struct buf *out_answer, struct text *why);

// Kills it; its end is reported as ever.
void fetcher_kill(struct fetcher *fetcher);

#endif
