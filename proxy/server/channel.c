// channel.c: bytes between supervisor and worker.  See channel.h.
#include "proxy/server/channel.h"

#include <errno.h>
#include <sys/socket.h>

bool channel_open(int *out_supervisor_end, int *out_worker_end)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	*out_supervisor_end = ends[0];
	*out_worker_end = ends[1];
	return true;
}

void channel_send(int channel, enum channel_message message)
{
	char byte = (char)message;
	while (send(channel, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR)
		;
}

static bool is_known(char byte)
{
	static const char known[] = {
#define MESSAGE(token, byte, direction) byte,
#include "proxy/server/channel.def"
#undef MESSAGE
	};
	for (size_t i = 0; i < sizeof(known); i++)
		if (known[i] == byte)
			return true;
	return false;
}

enum channel_result channel_receive(int channel, enum channel_message *out_message)
{
	char byte;
	ssize_t n;
	do
		n = recv(channel, &byte, 1, MSG_DONTWAIT);
	while (n < 0 ? errno == EINTR : n > 0 && !is_known(byte));
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CHANNEL_EMPTY;
	if (n <= 0)
		return CHANNEL_GONE;
	*out_message = (enum channel_message)byte;
	return CHANNEL_RECEIVED;
}
