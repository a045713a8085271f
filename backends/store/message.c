// message.c: from a file with LF to CR LF, doubled dots and a closing dot
// (RFC 1939 section 3).  See message.h.
#include "backends/store/message.h"

#include <unistd.h>

struct message message_open(int fd, uint64_t lines)
{
	return (struct message){.fd = fd, .lines_left = lines, .blank = true, .last = '\n'};
}

void message_close(struct message *message)
{
	close(message->fd);
	*message = (struct message){.fd = -1};
}

// A line without its LF, or the part of it that a piece holds.
static void add_part(struct message *message, struct str part, struct text *out)
{
	if (!part.len)
		return;
	if (message->last == '\n' && part.at[0] == '.')
		text_add_char(out, '.');
	text_add(out, part);
	message->blank = message->blank && str_eq(part, STR("\r"));
	message->last = part.at[part.len - 1];
}

static void end_line(struct message *message, struct text *out)
{
	text_add(out, message->last == '\r' ? STR("\n") : STR("\r\n"));
	if (message->in_body)
		message->lines_left--;
	else
		message->in_body = message->blank;
	message->blank = true;
	message->last = '\n';
}

static bool has_all(const struct message *message)
{
	return message->in_body && message->lines_left == 0;
}

static enum message_result finish(struct message *message, struct text *out)
{
	if (message->last != '\n')
		end_line(message, out);
	text_add(out, STR(".\r\n"));
	return MESSAGE_OVER;
}

enum message_result message_next(struct message *message, struct text *out)
{
	char room[MESSAGE_PIECE];
	ssize_t n = read(message->fd, room, sizeof(room));
	if (n < 0)
		return MESSAGE_FAILED;
	struct str rest = {room, (size_t)n}, line;
	while (rest.len && !has_all(message)) {
		bool ended = str_cut(rest, '\n', &line, &rest);
		add_part(message, line, out);
		if (ended)
			end_line(message, out);
	}
	return n == 0 || has_all(message) ? finish(message, out) : MESSAGE_MORE;
}
