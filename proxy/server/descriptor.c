// descriptor.c: one descriptor beside the bytes, and all but two.  See descriptor.h.
#include "proxy/server/descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Room for one, laid out as the kernel wants it.
union descriptor_room {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

ssize_t descriptor_send(int socket, struct iovec *parts, size_t num_parts, int fd)
{
	union descriptor_room control = {.room = {0}};
	struct msghdr envelope = {
	    .msg_iov = parts,
	    .msg_iovlen = num_parts,
	    .msg_control = fd < 0 ? NULL : &control,
	    .msg_controllen = fd < 0 ? 0 : sizeof(control),
	};
	ssize_t n;
	control.head = (struct cmsghdr){CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	do
		n = sendmsg(socket, &envelope, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
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

// The kernel closes descriptors for which there is no room: a second one.
ssize_t descriptor_receive(int socket, char *room, size_t size, int *out_fd)
{
	struct iovec bytes = {room, size};
	union descriptor_room control;
	struct msghdr envelope = {
	    .msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = out_fd ? &control : NULL,
	    .msg_controllen = out_fd ? CMSG_LEN(sizeof(*out_fd)) : 0,
	};
	ssize_t n = recvmsg(socket, &envelope, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (out_fd)
		*out_fd = n > 0 ? descriptor_in(&envelope) : -1;
	return n;
}

static void close_between(int lower, int upper)
{
	if (lower + 1 < upper)
		close_range((unsigned)lower + 1, (unsigned)upper - 1, 0);
}

void descriptor_keep_only(int one, int other)
{
	int lower = one < other ? one : other, upper = one < other ? other : one;
	if (lower > STDERR_FILENO)
		close_between(STDERR_FILENO, lower);
	close_between(lower > STDERR_FILENO ? lower : STDERR_FILENO, upper);
	close_range((unsigned)upper + 1, ~0U, 0);
}
