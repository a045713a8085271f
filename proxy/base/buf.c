// buf.c: the byte queue.  See buf.h.
#include "proxy/base/buf.h"

#include <stdlib.h>

#include "proxy/base/die.h"

enum { LEAST_CAP = 512 };

static size_t next_cap(size_t wanted)
{
	size_t cap = LEAST_CAP;
	while (cap < wanted)
		cap *= 2;
	return cap;
}

static void release(struct buf *buf)
{
	if (buf->at)
		explicit_bzero(buf->at, buf->end);
	free(buf->at);
}

// Moves what is queued into memory for `wanted` bytes, at its beginning.
static bool grow(struct buf *buf, size_t wanted)
{
	size_t cap = next_cap(wanted);
	char *at = malloc(cap);
	if (!at)
		return false;
	size_t len = buf_len(buf);
	if (len)
		memcpy(at, buf->at + buf->start, len);
	release(buf);
	*buf = (struct buf){.at = at, .end = len, .cap = cap};
	return true;
}

bool buf_add(struct buf *buf, struct str s, size_t max)
{
	size_t len = buf_len(buf);
	if (s.len == 0)
		return true;
	if (len > max || s.len > max - len)
		return false;
	if (s.len > buf->cap - buf->end && !grow(buf, len + s.len))
		return false;
	memcpy(buf->at + buf->end, s.at, s.len);
	buf->end += s.len;
	return true;
}

void buf_consume(struct buf *buf, size_t n)
{
	BUG_ON(n > buf_len(buf));
	buf->start += n;
	if (buf->start == buf->end)
		buf_done(buf);
}

void buf_done(struct buf *buf)
{
	release(buf);
	*buf = (struct buf){0};
}
