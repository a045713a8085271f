// buf.h: a byte queue that holds no memory while it is empty, and never more
// than its user allows.
//
// Used by streams for input not yet consumed and output not yet written.  The
// zero state is an empty queue.  The limit is given with each addition, since
// the same queue may be a line buffer first and a relay buffer later.  Bytes
// are wiped before their memory is given back: passwords pass through here.
//
// Not done: a ring.  Queues here are filled and emptied as a whole nearly
// always, and one contiguous slice is what parsers and write(2) want.
#ifndef POPGATE_PROXY_BASE_BUF_H
#define POPGATE_PROXY_BASE_BUF_H

#include "proxy/base/str.h"

struct buf {
	char *at;
	size_t start; // first byte in use
	size_t end;   // one past the last
	size_t cap;
};

static inline size_t buf_len(const struct buf *buf)
{
	return buf->end - buf->start;
}

// What is queued; valid until the next call that changes the queue.
static inline struct str buf_str(const struct buf *buf)
{
	return (struct str){buf->at ? buf->at + buf->start : NULL, buf_len(buf)};
}

// Appends s.  False, and nothing changed, when more than max bytes would be
// queued or memory is out.  s may not point into the queue.
__attribute__((warn_unused_result)) bool buf_add(struct buf *buf, struct str s, size_t max);

// Drops the first n bytes (n at most buf_len); gives the memory back when
// nothing is left.
void buf_consume(struct buf *buf, size_t n);

// Drops everything.
void buf_done(struct buf *buf);

#endif
