// port_owner.h: which program holds a TCP port that we cannot have.
//
// Called by sockets.c when bind(2) says EADDRINUSE, to make a message that an
// administrator can act on.  Reads /proc and nothing else; what it finds may be
// gone a moment later.  Other users' processes are visible to root only.
#ifndef POPGATE_PROXY_SERVER_PORT_OWNER_H
#define POPGATE_PROXY_SERVER_PORT_OWNER_H

#include <sys/types.h>

#include "proxy/base/addr.h"

struct port_owner {
	pid_t pid;
	char program[64]; // as the kernel names it
};

// Finds who stands in the way of binding `addr`: a listening socket with this
// port and this address or the wildcard; where several processes share it, the
// one with the lowest pid.  False when none can be seen.
__attribute__((warn_unused_result)) bool port_owner_find(
    const struct addr *addr, struct port_owner *out_owner);

#endif
