// channel.c: bytes between supervisor and worker.  See channel.h.
#include "proxy/server/channel.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/server/descriptor.h"

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

// Whether what the other side has not read yet leaves room for what channel_send sends.
static bool has_room(int channel)
{
	int waiting, room;
	socklen_t size = sizeof(room);
	return ioctl(channel, SIOCOUTQ, &waiting) == 0 &&
	       getsockopt(channel, SOL_SOCKET, SO_SNDBUF, &room, &size) == 0 && waiting < room / 2;
}

bool channel_send_fd(int channel, enum channel_message message, int fd)
{
	char byte = (char)message;
	struct iovec bytes = {&byte, 1};
	return has_room(channel) && descriptor_send(channel, &bytes, 1, fd) == 1;
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

static void drop(const int *fd)
{
	if (fd && *fd >= 0)
		close(*fd);
}

enum channel_result channel_receive(int channel, enum channel_message *out_message, int *out_fd)
{
	char byte = 0;
	ssize_t n;
	while ((n = descriptor_receive(channel, &byte, 1, out_fd)) < 0 ? errno == EINTR
	                                                               : n > 0 && !is_known(byte))
		drop(out_fd);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CHANNEL_EMPTY;
	if (n <= 0)
		return CHANNEL_GONE;
	*out_message = (enum channel_message)byte;
	return CHANNEL_RECEIVED;
}
