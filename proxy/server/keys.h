// keys.h: the process that has the private keys of a generation, and does nothing but
// sign with them.
//
// Called by keys_process.c in a freshly forked child.  It never has a client's byte
// before its eyes that TLS has not digested: workers ask it over a socket each
// (proxy/net/signing.h) and get signatures, so that one that is taken over can be this
// server as long as that lasts, but takes no key along.  The supervisor passes
// descriptors of key files (keys_order.h); neither it nor a worker ever has what stands
// in them.
//
// Nothing a worker sends hangs it: what is no question ends that worker's socket, and so
// does leaving answers unread.  Each turn takes one packet from each worker that has any,
// so that one that asks without end delays the others by a packet each.
//
// Under load a packet carries several questions, so that it costs a handshake little: 2 %
// with P-256 and 64 clients at a time (tests/bench/popgate.sh).
//
// It ends when its supervisor has let it go and the last worker's socket has ended: what
// drains may still shake hands, after STLS.
//
// The road not taken: threads or a pool of such processes.  One core signs ten thousand
// times a second with P-256, which is more handshakes than all the workers of a machine
// like this do; with RSA-2048 it is the keys that cost, and P-256 is the remedy.
#ifndef POPGATE_PROXY_SERVER_KEYS_H
#define POPGATE_PROXY_SERVER_KEYS_H

#include <stddef.h>

#include "proxy/server/sandbox.h"

// Gives up root and all but a few system calls, and serves.  The caller has closed what
// it must not have.  `num_certificates` of the generation.
_Noreturn void keys_run(
    int channel, size_t num_certificates, const struct sandbox_identity *identity);

#endif
