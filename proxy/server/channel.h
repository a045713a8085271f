// channel.h: the socket between the supervisor and one worker, and the bytes
// that go over it.
//
// Used by both sides.  Nothing here waits: a byte that the other side does not
// take is dropped, since such a worker hangs and the supervisor's deadlines
// deal with it.  Each side owns its descriptor and closes it with close(2); the
// other then reads the end.
#ifndef POPGATE_PROXY_SERVER_CHANNEL_H
#define POPGATE_PROXY_SERVER_CHANNEL_H

#include <stdbool.h>

#define MESSAGE(token, byte, direction) CHANNEL_##token = (byte),
enum channel_message {
#include "proxy/server/channel.def"
};
#undef MESSAGE

// What channel_receive found; GONE: the other side has closed its end.
enum channel_result { CHANNEL_RECEIVED, CHANNEL_EMPTY, CHANNEL_GONE };

// Both ends non-blocking and closed by execv.  False with errno set.
__attribute__((warn_unused_result)) bool channel_open(int *out_supervisor_end, int *out_worker_end);

void channel_send(int channel, enum channel_message message);

// The same with a descriptor, of which the other side gets a copy.  False when it
// was dropped: where the other side reads nothing, half of the room is kept for
// messages without one, so that an order to drain is not lost behind certificates.
__attribute__((warn_unused_result)) bool channel_send_fd(
    int channel, enum channel_message message, int fd);

// One message, if there is any, and the descriptor that came with it (-1: none),
// to be closed by the caller.  Without out_fd, whatever comes is closed: a side
// that does not trust the other takes none.  Bytes that this version does not
// know are skipped: the other side may be of another version.
enum channel_result channel_receive(int channel, enum channel_message *out_message, int *out_fd);

#endif
