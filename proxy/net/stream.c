// stream.c: streams over libuv: birth, input, end.  See stream.h for what they
// promise, and output.c for the way out.
//
//      socket --on_read--> [tls_read] --take_input--> owner.on_bytes
//                                           |              |
//                                           +--> kept <----+ (not consumed)
//
// Reading is stopped lazily: a paused stream is read once more, into `kept`,
// before libuv is told to stop.  So a pause that ends soon costs no system
// call, and a client that goes away during its login is noticed.
#include "proxy/net/stream_priv.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/net/tls.h"

enum {
	READ_MAX = 16 * 1024, // at a time, until the owner wants more
	KEPT_MAX = STREAM_KEEP + NET_CLEAR_SIZE,
};

static void update_reading(struct stream *stream);

void stream_tell(struct stream *stream, enum stream_event event)
{
	if (stream->open)
		stream->owner->on_event(stream, event);
}

void stream_tell_failed(struct stream *stream)
{
	if (stream->failed_told)
		return;
	stream->failed_told = true;
	if (stream->going)
		stream_close(stream);
	else
		stream_tell(stream, STREAM_FAILED);
}

void stream_break(struct stream *stream, const char *error)
{
	if (!stream->error)
		stream->error = error;
	if (stream->open)
		net_defer(stream->net, &stream->task);
}

// What an alert meets on its way out is not why it was sent.
void stream_break_tls(struct stream *stream)
{
	const char *error = stream->error;
	if (stream->cork)
		stream_flush(stream);
	stream->error = error;
	stream_break(stream, tls_error(stream->tls));
}

// ---- input --------------------------------------------------------------

static size_t offer(struct stream *stream, struct str bytes)
{
	stream->offering = true;
	size_t used = stream->owner->on_bytes(stream, bytes);
	stream->offering = false;
	BUG_ON(used > bytes.len);
	return used;
}

bool stream_is_in_handshake(const struct stream *stream)
{
	return stream->tls && !stream->secured;
}

// Never during a handshake: what is kept then came in the clear.
static bool may_offer(const struct stream *stream)
{
	return !stream_is_in_handshake(stream) && stream->open && !stream->paused &&
	       !stream->offering && !stream->error && !stream->going;
}

static void offer_kept(struct stream *stream)
{
	while (may_offer(stream) && stream_has_input(stream)) {
		size_t used = offer(stream, buf_str(&stream->kept));
		if (used == 0)
			break;
		buf_consume(&stream->kept, used);
	}
	if (may_offer(stream) && stream->ended && !stream->ended_told) {
		stream->ended_told = true;
		stream_tell(stream, STREAM_ENDED);
	}
}

static void keep(struct stream *stream, struct str bytes)
{
	if (!buf_add(&stream->kept, bytes, KEPT_MAX))
		stream_break(stream, "out of memory for input");
}

static void take_input(struct stream *stream, struct str bytes)
{
	size_t used = 0;
	if (may_offer(stream) && !stream_has_input(stream))
		used = offer(stream, bytes);
	keep(stream, str_drop(bytes, used));
	if (stream->secret)
		explicit_bzero((char *)bytes.at, bytes.len);
}

static void keep_tls(struct stream *stream, struct str raw)
{
	stream->kept_is_tls = true;
	keep(stream, raw);
}

// What came behind the message that the handshake waits over is used later.
static void begin_wait(struct stream *stream)
{
	stream->waits = true;
	keep_tls(stream, tls_unread(stream->tls));
}

// Decrypts all that was fed; a handshake comes first.
static void take_encrypted(struct stream *stream)
{
	struct net *net = stream->net;
	if (!stream->secured) {
		if (stream_has_input(stream)) {
			stream_break(stream, "bytes from before TLS were left");
			return;
		}
		enum tls_result result = tls_handshake(stream->tls);
		if (result == TLS_FAILED)
			stream_break_tls(stream);
		if (result == TLS_WAITS)
			begin_wait(stream);
		if (result != TLS_OK)
			return;
		stream->secured = true;
		stream_tell(stream, STREAM_SECURED);
	}
	if (!stream->open || stream->ended)
		return;
	size_t len;
	bool truncated = false;
	enum tls_result result =
	    tls_read(stream->tls, net->clear, NET_CLEAR_SIZE, &len, &truncated);
	stream->truncated = truncated;
	if (result == TLS_ENDED)
		stream->ended = true;
	else if (result == TLS_FAILED)
		stream_break_tls(stream);
	if (len)
		take_input(stream, (struct str){net->clear, len});
}

// Nobody is there to whom the rest of a handshake could go.
static void take_end_of_tls(struct stream *stream)
{
	if (stream->waits) {
		stream_break(stream, "the peer went away");
		return;
	}
	tls_feed_end(stream->tls);
	take_encrypted(stream);
}

// What stood behind a preface or came while the handshake waited, as if it had just
// been read; nothing may come before it, so this is asked for ahead of each read.
static void take_kept_tls(struct stream *stream)
{
	struct buf kept = stream->kept;
	bool wanted = stream->kept_is_tls && stream_is_in_handshake(stream) && stream->open &&
	              !stream->error && !stream->going && !stream->waits;
	if (!wanted || (!buf_len(&kept) && !stream->ended))
		return;
	stream->kept = (struct buf){0};
	tls_feed(stream->tls, buf_str(&kept));
	take_encrypted(stream);
	if (stream->ended)
		take_end_of_tls(stream);
	tls_feed(stream->tls, (struct str){0});
	buf_done(&kept);
}

// libuv calls it an end when the kernel reports a hang-up behind the last bytes,
// also where that was a reset; the socket knows.
static int error_behind_end(const struct stream *stream)
{
	uv_os_fd_t fd;
	int error = 0;
	socklen_t len = sizeof(error);
	if (uv_fileno((const uv_handle_t *)&stream->tcp, &fd) == 0)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return error;
}

// Under TLS the end is a record, and comes with the bytes; in the clear the
// kernel can be asked.
bool stream_is_at_end(const struct stream *stream)
{
	uv_os_fd_t fd;
	char next;
	if (stream->tls || stream->ended)
		return stream->ended;
	return uv_fileno((const uv_handle_t *)&stream->tcp, &fd) == 0 &&
	       recv(fd, &next, sizeof(next), MSG_PEEK | MSG_DONTWAIT) == 0;
}

void stream_acknowledge(struct stream *stream)
{
	uv_os_fd_t fd;
	const int on = 1;
	if (uv_fileno((const uv_handle_t *)&stream->tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void take_end(struct stream *stream)
{
	int error = error_behind_end(stream);
	if (error) {
		stream_break(stream, uv_strerror(-error));
		return;
	}
	if (!stream->tls) {
		stream->ended = true;
		return;
	}
	take_end_of_tls(stream);
}

static void take_raw_tls(struct stream *stream, struct str raw)
{
	if (stream->waits) {
		keep_tls(stream, raw);
		return;
	}
	tls_feed(stream->tls, raw);
	take_encrypted(stream);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct stream *stream = handle->data;
	(void)suggested;
	*out = uv_buf_init(stream->net->raw, stream->read_max);
}

static void on_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buffer)
{
	struct stream *stream = handle->data;
	struct net *net = stream->net;
	if (nread == 0)
		return;
	take_kept_tls(stream);
	if (nread > 0) {
		struct str raw = {buffer->base, (size_t)nread};
		stream->bytes_in += raw.len;
		if (stream->tls)
			take_raw_tls(stream, raw);
		else
			take_input(stream, raw);
	} else if (nread == UV_EOF) {
		stream->reading = false;
		take_end(stream);
	} else {
		stream_break(stream, uv_strerror((int)nread));
	}
	offer_kept(stream);
	take_kept_tls(stream);
	stream_settle(stream);
	if (stream->error)
		stream_tell_failed(stream);
	update_reading(stream);
	if (++net->num_reads >= NET_READS)
		stream_pull_corks(net);
}

static bool wants_reading(const struct stream *stream)
{
	if (!stream->open || stream->ended || stream->error)
		return false;
	if (stream->waits)
		return !stream_has_input(stream);
	if (stream_is_in_handshake(stream))
		return true;
	return stream->paused ? !stream_has_input(stream) : buf_len(&stream->kept) <= STREAM_KEEP;
}

static void update_reading(struct stream *stream)
{
	bool wanted = wants_reading(stream);
	if (wanted == stream->reading || !stream->open)
		return;
	stream->reading = wanted;
	if (wanted)
		uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read);
	else
		uv_read_stop((uv_stream_t *)&stream->tcp);
}

void stream_pause(struct stream *stream)
{
	stream->paused = true;
}

void stream_resume(struct stream *stream)
{
	if (!stream->open)
		return;
	stream->paused = false;
	if (stream_has_input(stream) || stream->ended)
		net_defer(stream->net, &stream->task);
	update_reading(stream);
}

// ---- birth --------------------------------------------------------------

// What was asked for outside a callback of the loop, and is told within one.
static void run_task(struct net_task *task)
{
	struct stream *stream = (void *)((char *)task - offsetof(struct stream, task));
	if (stream->error) {
		stream_tell_failed(stream);
		return;
	}
	offer_kept(stream);
	take_kept_tls(stream);
	stream_settle(stream);
	update_reading(stream);
}

static void init(
    struct stream *stream, struct net *net, const struct stream_owner *owner, void *context)
{
	*stream = (struct stream){
	    .net = net, .owner = owner, .context = context, .read_max = READ_MAX, .open = true};
	stream->task.run = run_task;
	uv_tcp_init(&net->loop, &stream->tcp);
	stream->tcp.data = stream;
}

bool stream_open(
    struct stream *stream, struct net *net, int fd, const struct stream_owner *owner, void *context)
{
	init(stream, net, owner, context);
	stream->paused = true;
	stream->connected = true;
	int status = uv_tcp_open(&stream->tcp, fd);
	if (status < 0) {
		close(fd);
		stream_break(stream, uv_strerror(status));
		return false;
	}
	return true;
}

static void on_connected(uv_connect_t *request, int status)
{
	struct stream *stream = request->handle->data;
	free(request);
	if (!stream->open)
		return;
	if (status < 0) {
		stream->error = uv_strerror(status);
		stream_tell_failed(stream);
		return;
	}
	stream->connected = true;
	stream_tell(stream, STREAM_CONNECTED);
}

void stream_connect(struct stream *stream, struct net *net, const struct addr *addr,
    const struct stream_owner *owner, void *context)
{
	init(stream, net, owner, context);
	uv_connect_t *request = xcalloc(1, sizeof(*request));
	uv_tcp_nodelay(&stream->tcp, 1);
	int status = uv_tcp_connect(request, &stream->tcp, &addr->any, on_connected);
	if (status < 0) {
		free(request);
		stream_break(stream, uv_strerror(status));
	}
	update_reading(stream); // which asks the kernel for both at once
}

static void begin_tls(struct stream *stream)
{
	stream->secured = false;
	update_reading(stream);
}

void stream_secure_server(
    struct stream *stream, const struct tls_server *server, const struct tls_strength *exception)
{
	stream->tls = tls_accept(stream, server, exception);
	begin_tls(stream);
}

void stream_secure_server_after_preface(
    struct stream *stream, const struct tls_server *server, const struct tls_strength *exception)
{
	stream->kept_is_tls = true;
	stream_secure_server(stream, server, exception);
	if (!stream->offering && (stream_has_input(stream) || stream->ended))
		net_defer(stream->net, &stream->task);
}

// A client speaks first: its hello goes out before anything is read.
void stream_secure_client(struct stream *stream, const struct tls_client *client, const char *name)
{
	stream->tls = tls_connect(stream, client, name);
	begin_tls(stream);
	if (tls_handshake(stream->tls) == TLS_FAILED)
		stream_break_tls(stream);
}

// What was kept meanwhile goes on with the handshake by itself.  What the signature was for
// leaves at once: the client has more to do now than ever.
void stream_go_on(struct stream *stream)
{
	stream->waits = false;
	if (!stream->open || stream->error || stream->going)
		return;
	if (stream_has_input(stream))
		take_kept_tls(stream);
	else
		take_encrypted(stream);
	offer_kept(stream);
	stream_pull_cork(stream);
	if (stream->error)
		stream_tell_failed(stream);
	update_reading(stream);
}

struct addr stream_local_addr(const struct stream *stream)
{
	struct sockaddr_storage local = {0};
	int len = sizeof(local);
	uv_tcp_getsockname(&stream->tcp, (struct sockaddr *)&local, &len);
	return addr_of((const struct sockaddr *)&local);
}

// ---- end ----------------------------------------------------------------

static void on_closed(uv_handle_t *handle)
{
	struct stream *stream = handle->data;
	struct tls *tls = stream->tls; // what stream_error points to may lie there
	buf_done(&stream->kept);
	stream_free_output(stream);
	stream->owner->on_event(stream, STREAM_CLOSED);
	tls_free(&tls);
}

static void begin_close(struct stream *stream)
{
	stream_pull_cork(stream);
	net_cancel(stream->net, &stream->task);
	stream->open = false;
}

void stream_finish(struct stream *stream)
{
	if (!stream->open || stream->finishing || stream->going || stream->error)
		return;
	stream->finishing = true;
	if (stream->tls && stream->secured)
		tls_finish(stream->tls);
	if (stream->cork)
		stream_flush(stream);
	if (!stream->output)
		stream_send_fin(stream);
}

void stream_close_gently(struct stream *stream)
{
	if (!stream->open || stream->going)
		return;
	if (stream->tls && stream->secured && !stream->finishing && !stream->error)
		tls_finish(stream->tls);
	stream->going = true;
	stream_pull_cork(stream);
	if (!stream->output || stream->error)
		stream_close(stream);
}

void stream_close(struct stream *stream)
{
	if (!stream->open)
		return;
	begin_close(stream);
	uv_close((uv_handle_t *)&stream->tcp, on_closed);
}

void stream_abort(struct stream *stream)
{
	if (!stream->open)
		return;
	begin_close(stream);
	if (!stream->connected || uv_tcp_close_reset(&stream->tcp, on_closed) < 0)
		uv_close((uv_handle_t *)&stream->tcp, on_closed);
}
