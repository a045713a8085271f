// descriptor.h: a message over a socket with one descriptor (SCM_RIGHTS), and the end of
// those that a child has inherited.
//
// Used by channel.c and keys_order.c; by the supervisor's children.
#ifndef POPGATE_PROXY_SERVER_DESCRIPTOR_H
#define POPGATE_PROXY_SERVER_DESCRIPTOR_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

// As sendmsg(2), without waiting; fd -1: none.
ssize_t descriptor_send(int socket, struct iovec *parts, size_t num_parts, int fd);

// As recvmsg(2), without waiting.  The descriptor that came along (-1: none) is the
// caller's; without out_fd whatever comes is closed.
ssize_t descriptor_receive(int socket, char *room, size_t size, int *out_fd);

// Closes all but these two (-1: none), and the three that every program has.
void descriptor_keep_only(int one, int other);

#endif
