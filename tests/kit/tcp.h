// tcp.h: plain sockets of loopback TCP, for what stands opposite a stream.
#ifndef POPGATE_TESTS_KIT_TCP_H
#define POPGATE_TESTS_KIT_TCP_H

#include "proxy/base/addr.h"

// A listening socket on a free port; the address to connect to in *out_addr.
int tcp_listen(struct addr *out_addr);

// The address of a port that nobody listens on.
struct addr tcp_deaf_addr(void);

// A blocking connection to addr; the next one that waits at a listening socket.
int tcp_connect(const struct addr *addr);
int tcp_accept(int listening);

// Both ends of a connection, with so much room in the kernel; 0: as it comes.
struct tcp_pair {
	int a, b;
};
struct tcp_pair tcp_pair(int room);

// Bounds what the kernel keeps each way.  To be called before a connection is
// made (a listening socket passes it on), since TCP fixes its window then.
void tcp_set_room(int fd, int room);

// Makes reading and writing return at once.
void tcp_set_nonblocking(int fd);

// Closes with a reset instead of an end.
void tcp_reset(int fd);

#endif
