// helper_reply_fuzz.c: what a helper answers.
//
// Whatever it says: the verdict does not depend on how much came at once, only a
// verdict of ours comes out, and what is broken or over uses up nothing behind it.
#include <string.h>

#include "backends/verify/helper_reply.h"
#include "tests/fuzz/fuzz.h"

// All bytes, `step` at a time; how many answers there were, each of which is
// followed by a question.
static unsigned take_all(struct str bytes, size_t step, struct helper_reply *reply)
{
	enum helper_progress progress = HELPER_MORE;
	unsigned answers = 0;
	size_t given = 0, used = 0;
	*reply = (struct helper_reply){0};
	helper_reply_begin(reply);
	while (progress != HELPER_BROKEN && (given < bytes.len || progress == HELPER_WHOLE)) {
		if (progress == HELPER_WHOLE) {
			answers++;
			helper_reply_begin(reply);
		} else {
			given = given + step < bytes.len ? given + step : bytes.len;
		}
		used += helper_reply_take(
		    reply, (struct str){bytes.at + used, given - used}, &progress);
		MUST(used <= given);
		MUST(given - used <= HELPER_LINE_MAX || progress != HELPER_MORE);
		MUST(progress != HELPER_WHOLE || (reply->has_verdict && !reply->is_asked));
		MUST(!reply->has_key || reply->accepted);
		MUST(!reply->said_len || !reply->accepted);
	}
	return progress == HELPER_BROKEN ? answers + 1000000 : answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = {(const char *)data, size};
	struct helper_reply whole, pieces;
	MUST(take_all(bytes, size + 1, &whole) == take_all(bytes, 1, &pieces));
	MUST(whole.accepted == pieces.accepted && whole.said_len == pieces.said_len);
	struct str said = helper_reply_said(&whole);
	MUST(!helper_refusal(said) || said.len);
	return 0;
}
