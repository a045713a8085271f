// stream.h: a byte stream over TCP with back-pressure, in the clear or under
// TLS, with one interface for both; in the clear also over a socket pair.
//
// Used by the session (both sides of it), the upstream dialogue, the sample
// store and the pool of helpers.  A stream is embedded in its owner.  It tells its owner two things
// through the table given at birth: bytes that came in, and events.
//
// Promises:
//   * No function here calls the owner back before it returns.
//   * Bytes that the owner does not consume are kept and offered again, in
//     order, when more arrives or when the stream is resumed.  While bytes
//     are kept beyond STREAM_KEEP, the peer is not read.
//   * What is written goes out in order.  stream_write takes everything; an
//     owner that minds the size of the queue stops writing when stream_queued
//     is above its mark, until STREAM_DRAINED.
//   * After STREAM_FAILED nothing but closing makes sense.  After
//     stream_close no event comes but STREAM_CLOSED, and then the memory is
//     the owner's again.
//
// Not done here: deadlines (the owner has them) and splice(2) (with TLS on one
// side at least, bytes pass through user space anyway).
#ifndef POPGATE_PROXY_NET_STREAM_H
#define POPGATE_PROXY_NET_STREAM_H

#include "proxy/base/addr.h"
#include "proxy/base/buf.h"
#include "proxy/net/net.h"

struct stream;
struct tls;
struct tls_server;
struct tls_strength;
struct tls_client;

enum stream_event {
	STREAM_CONNECTED, // stream_connect succeeded
	STREAM_SECURED,   // the TLS handshake is over
	STREAM_ENDED,     // the peer will send nothing more; writing goes on
	STREAM_DRAINED,   // all that was queued has gone to the kernel
	STREAM_FAILED,    // see stream_error
	STREAM_CLOSED,    // the last event
};

struct stream_owner {
	// Returns how many of the bytes are consumed.  They are valid until it
	// returns.
	size_t (*on_bytes)(struct stream *stream, struct str bytes);
	void (*on_event)(struct stream *stream, enum stream_event event);
};

// How much unconsumed input a stream keeps before it stops reading.  Longer
// than any line we allow.
enum { STREAM_KEEP = 16 * 1024 };

struct stream {
	struct net *net;
	const struct stream_owner *owner;
	void *context; // the owner's
	uv_tcp_t tcp;
	struct net_task task;
	struct tls *tls;              // NULL in the clear
	struct buf kept;              // input not consumed yet
	struct stream_output *output; // what the kernel did not take; NULL mostly
	struct net_cork *cork;        // where this turn's output gathers; NULL mostly
	const char *error;
	uint64_t bytes_in; // on the wire
	uint64_t bytes_out;
	uint32_t read_max; // bytes to ask the kernel for at a time
	bool open : 1;     // initialised and not closing
	bool paused : 1;
	bool secret : 1; // wipe what passed through shared buffers
	bool reading : 1;
	bool offering : 1;   // on_bytes is running
	bool ended : 1;      // the peer's end was seen
	bool ended_told : 1; // and told
	bool truncated : 1;  // the end came without TLS's close_notify
	bool finishing : 1;  // stream_finish was called
	bool going : 1;      // stream_close_gently was called
	bool failed_told : 1;
	bool connected : 1;
	bool secured : 1;     // the handshake is over
	bool kept_is_tls : 1; // what is kept as TLS begins is TLS's
	bool waits : 1;       // the handshake waits for a signature (signer.h)
};

// Makes the stream of an accepted socket; takes over fd.  It begins paused.
// False, and fd closed, when libuv refuses it; then it can only be closed.
bool stream_open(struct stream *stream, struct net *net, int fd, const struct stream_owner *owner,
    void *context);

// Makes a stream by connecting; tells STREAM_CONNECTED or STREAM_FAILED.
void stream_connect(struct stream *stream, struct net *net, const struct addr *addr,
    const struct stream_owner *owner, void *context);

// Begins a TLS handshake as server, or as client towards `name`, on a stream
// that has no TLS yet.  Tells STREAM_SECURED or STREAM_FAILED.  When bytes from
// before TLS are still unconsumed as the handshake goes on, the stream fails:
// nothing from before TLS may survive it.  `name` is borrowed until the
// handshake is over.  An exception, unless NULL, is what TLS must be at least here.
void stream_secure_server(
    struct stream *stream, const struct tls_server *server, const struct tls_strength *exception);
void stream_secure_client(struct stream *stream, const struct tls_client *client, const char *name);

// As stream_secure_server, where TLS begins right behind a preface in the clear
// that the peer did not have to wait for an answer to (the header of a load
// balancer).  What is unconsumed now, and what an on_bytes that calls this
// leaves, is the beginning of TLS, as if it were read only now; so it reaches
// the owner decrypted or not at all.
void stream_secure_server_after_preface(
    struct stream *stream, const struct tls_server *server, const struct tls_strength *exception);

// Stops and goes on with offering bytes.  Resuming offers what is kept first.
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

// Whether the peer's end is known to stand right behind the bytes that on_bytes
// is given; for use there.  STREAM_ENDED comes all the same.  An owner that knows
// can have its answer leave together with what the end leads to.
bool stream_is_at_end(const struct stream *stream);

// Has the kernel tell the peer now, and not 40 ms later, that its bytes have come:
// for an owner that has nothing to answer them with and awaits more, which a peer
// with Nagle's algorithm holds back until then (RFC 1122 section 4.2.3.4).
void stream_acknowledge(struct stream *stream);

// Our own address of the connection, port included; without a family once it is
// gone.
struct addr stream_local_addr(const struct stream *stream);

// Whether unconsumed input waits.
static inline bool stream_has_input(const struct stream *stream)
{
	return buf_len(&stream->kept) > 0;
}

// Does nothing during a TLS handshake, after stream_finish and after a failure.  The
// bytes leave when the loop's turn ends, together with what other streams have
// written in it: in as few system calls and segments as possible.
void stream_write(struct stream *stream, struct str bytes);

// Has more than a page of them leave now.  After a stream's own input was offered
// that is done anyway.
void stream_settle(struct stream *stream);

// Bytes written but not taken by the kernel, except what the turn still gathers.
size_t stream_queued(const struct stream *stream);

// Says that nothing more will be written: once the queue is empty, TLS's
// close_notify and FIN are sent.  Reading goes on.
void stream_finish(struct stream *stream);

// Closes: gently, once the queue has gone out and close_notify with it; at
// once, and what is queued is lost; or visibly for the peer, by a reset and
// without close_notify.  A later and ruder call overrules a gentle one.
void stream_close_gently(struct stream *stream);
void stream_close(struct stream *stream);
void stream_abort(struct stream *stream);

// Why it failed, as a static string; NULL while it has not.
static inline const char *stream_error(const struct stream *stream)
{
	return stream->error;
}

#endif
