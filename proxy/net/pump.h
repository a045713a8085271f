// pump.h: copies bytes from one stream to another, in one direction.
//
// A relay is two pumps.  A pump pauses the stream it reads when one more read
// could leave the stream it writes with more than `mark` bytes queued, and goes
// on when these are gone, so memory per direction is bounded however unequal
// the two peers are.  It
// ends by itself: the source's end is passed on as a half-close, and the
// other direction lives on.
//
// It borrows both streams; their owner hands it what they tell.  It never
// closes a stream.
#ifndef POPGATE_PROXY_NET_PUMP_H
#define POPGATE_PROXY_NET_PUMP_H

#include "proxy/net/stream.h"

struct pump {
	struct stream *from;
	struct stream *to;
	size_t mark;
	uint64_t bytes;
	char head[4];     // how the last line begins
	char previous[4]; // and the one before it
	uint8_t head_len;
	uint8_t previous_len;
	uint8_t num_lines; // begun; 2: or more
	bool line_ended;   // the last line's LF has been copied
	bool ended;
};

static inline struct pump pump_between(struct stream *from, struct stream *to, size_t mark)
{
	return (struct pump){.from = from, .to = to, .mark = mark};
}

// For what `from` offers: copies all of it.
size_t pump_bytes(struct pump *pump, struct str bytes);

// The same for the last bytes: they leave with what ends `to` within this callback,
// or by stream_settle.
size_t pump_last_bytes(struct pump *pump, struct str bytes);

// For STREAM_ENDED of `from`.
void pump_end(struct pump *pump);

// For STREAM_DRAINED of `to`.
void pump_drained(struct pump *pump);

// Whether the last line copied is complete and begins with prefix, and whether
// the line before it does, the case of letters aside: what a relay must know to
// tell an orderly end of a POP3 session from a lost one.  A prefix has four
// bytes at most.  Before the first line there is none, which begins with
// nothing.
bool pump_last_line_is(const struct pump *pump, struct str prefix);
bool pump_previous_line_is(const struct pump *pump, struct str prefix);

// Whether no line came before the last one.
bool pump_is_at_first_line(const struct pump *pump);

#endif
