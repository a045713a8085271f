// stream_priv.h: what the files of a stream share: stream.c (its birth, what
// it reads, its end), output.c (what it writes) and net.c.
#ifndef POPGATE_PROXY_NET_STREAM_PRIV_H
#define POPGATE_PROXY_NET_STREAM_PRIV_H

#include "proxy/net/stream.h"

// ---- stream.c -----------------------------------------------------------

bool stream_is_in_handshake(const struct stream *stream);

// Tells the owner, unless the stream is closed; only from the loop.
void stream_tell(struct stream *stream, enum stream_event event);
void stream_tell_failed(struct stream *stream);

// Marks it broken; the owner hears of it from the loop.
void stream_break(struct stream *stream, const char *error);

// The same for what TLS has found; the alert that says so goes out first.
void stream_break_tls(struct stream *stream);

// ---- output.c -----------------------------------------------------------

// Hands to the kernel what the stream's cork has gathered.  False when the stream is
// broken.
bool stream_flush(struct stream *stream);

// The same, and gives the cork back; for one stream, and for all of them.
void stream_pull_cork(struct stream *stream);
void stream_pull_corks(struct net *net);

void stream_send_fin(struct stream *stream);
void stream_free_output(struct stream *stream);

#endif
