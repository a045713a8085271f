// pump.c: one direction of a relay.  See pump.h.
#include "proxy/net/pump.h"

// Where the last line in bytes begins; bytes.len when it began before them.
static size_t last_line_start(struct str bytes)
{
	const char *lf = memrchr(bytes.at, '\n', bytes.len - 1);
	return lf ? (size_t)(lf + 1 - bytes.at) : bytes.len;
}

static void remember_line(struct pump *pump, struct str bytes)
{
	size_t start = last_line_start(bytes);
	if (start < bytes.len || pump->line_ended)
		pump->head_len = 0;
	struct str line = start < bytes.len ? str_drop(bytes, start) : bytes;
	struct str more = str_take(line, sizeof(pump->head) - pump->head_len);
	memcpy(pump->head + pump->head_len, more.at, more.len);
	pump->head_len = (uint8_t)(pump->head_len + more.len);
	pump->line_ended = bytes.at[bytes.len - 1] == '\n';
}

size_t pump_bytes(struct pump *pump, struct str bytes)
{
	pump->bytes += bytes.len;
	remember_line(pump, bytes);
	stream_cork(pump->to);
	stream_write(pump->to, bytes);
	stream_uncork(pump->to);
	size_t queued = stream_queued(pump->to);
	if (queued && queued + NET_RAW_SIZE > pump->mark)
		stream_pause(pump->from);
	return bytes.len;
}

void pump_end(struct pump *pump)
{
	pump->ended = true;
	stream_finish(pump->to);
}

void pump_drained(struct pump *pump)
{
	stream_resume(pump->from);
}

bool pump_last_line_is(const struct pump *pump, struct str prefix)
{
	struct str head = {pump->head, pump->head_len};
	return pump->line_ended && str_starts_nocase(head, prefix);
}
