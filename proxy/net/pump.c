// pump.c: one direction of a relay.  See pump.h.
#include "proxy/net/pump.h"

// Where the last two lines in bytes begin; 0 when there are not so many.
static size_t last_lines_start(struct str bytes)
{
	size_t len = bytes.len - 1; // its own end does not count
	for (int i = 0; i < 2; i++) {
		const char *lf = memrchr(bytes.at, '\n', len);
		if (!lf)
			return 0;
		len = (size_t)(lf - bytes.at);
	}
	return len + 1;
}

static void begin_line(struct pump *pump)
{
	memcpy(pump->previous, pump->head, sizeof(pump->previous));
	pump->previous_len = pump->head_len;
	pump->head_len = 0;
	if (pump->num_lines < 2)
		pump->num_lines++;
}

static void remember_line(struct pump *pump, struct str line, bool ended)
{
	if (pump->line_ended || !pump->num_lines)
		begin_line(pump);
	struct str more = str_take(line, sizeof(pump->head) - pump->head_len);
	memcpy(pump->head + pump->head_len, more.at, more.len);
	pump->head_len = (uint8_t)(pump->head_len + more.len);
	pump->line_ended = ended;
}

static void remember(struct pump *pump, struct str bytes)
{
	size_t start = last_lines_start(bytes);
	struct str line, rest = str_drop(bytes, start);
	if (start)
		pump->line_ended = true;
	while (rest.len) {
		struct str all = rest;
		bool ended = str_cut(all, '\n', &line, &rest);
		remember_line(pump, str_take(all, line.len + ended), ended);
	}
}

size_t pump_last_bytes(struct pump *pump, struct str bytes)
{
	pump->bytes += bytes.len;
	remember(pump, bytes);
	stream_write(pump->to, bytes);
	return bytes.len;
}

size_t pump_bytes(struct pump *pump, struct str bytes)
{
	pump_last_bytes(pump, bytes);
	stream_settle(pump->to);
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

bool pump_previous_line_is(const struct pump *pump, struct str prefix)
{
	return str_starts_nocase((struct str){pump->previous, pump->previous_len}, prefix);
}

bool pump_is_at_first_line(const struct pump *pump)
{
	return pump->num_lines < 2;
}
