// channel.c: bytes between supervisor and worker.  See channel.h.
#include "proxy/server/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

// Room for one descriptor, laid out as the kernel wants it.
union descriptor_room {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

bool channel_send_fd(int channel, enum channel_message message, int fd)
{
	char byte = (char)message;
	struct iovec bytes = {&byte, 1};
	union descriptor_room control = {.room = {0}};
	struct msghdr envelope = {
	    .msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control),
	};
	ssize_t n;
	control.head = (struct cmsghdr){CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	do
		n = sendmsg(channel, &envelope, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static int descriptor_in(struct msghdr *envelope)
{
	int fd = -1;
	const struct cmsghdr *head = CMSG_FIRSTHDR(envelope);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

// One byte.  The kernel closes descriptors for which there is no room: a second one.
static ssize_t receive(int channel, char *out_byte, int *out_fd)
{
	struct iovec bytes = {out_byte, 1};
	union descriptor_room control;
	struct msghdr envelope = {
	    .msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = out_fd ? &control : NULL,
	    .msg_controllen = out_fd ? CMSG_LEN(sizeof(*out_fd)) : 0,
	};
	ssize_t n = recvmsg(channel, &envelope, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (out_fd)
		*out_fd = n > 0 ? descriptor_in(&envelope) : -1;
	return n;
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
	while (
	    (n = receive(channel, &byte, out_fd)) < 0 ? errno == EINTR : n > 0 && !is_known(byte))
		drop(out_fd);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CHANNEL_EMPTY;
	if (n <= 0)
		return CHANNEL_GONE;
	*out_message = (enum channel_message)byte;
	return CHANNEL_RECEIVED;
}
