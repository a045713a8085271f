// output.c: what a stream writes: gathered up to the end of the loop's turn, handed
// to the kernel, queued only where the kernel does not take it.  See stream.h and, for
// what it shares with stream.c, stream_priv.h.
//
//      socket <--write_now-- cork <-- stream_write_raw <-- [tls_write] <-- stream_write
//        ^          |
//        +-- output +  (not taken by the kernel)
#include "proxy/net/stream_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proxy/base/die.h"
#include "proxy/net/tls.h"

enum {
	QUEUE_MAX = 64 * 1024 * 1024, // beyond any mark an owner may set
	HELD_MAX = 4096,              // until the turn's end; more is better under way
};

// Bytes on their way to the kernel: one request in flight, the rest behind it.
struct stream_output {
	uv_write_t request;
	struct buf sending;
	struct buf waiting;
};

static void send_waiting(struct stream *stream);

void stream_free_output(struct stream *stream)
{
	if (!stream->output)
		return;
	buf_done(&stream->output->sending);
	buf_done(&stream->output->waiting);
	free(stream->output);
	stream->output = NULL;
}

void stream_send_fin(struct stream *stream)
{
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)&stream->tcp, &fd) == 0)
		shutdown(fd, SHUT_WR);
}

static void on_drained(struct stream *stream)
{
	stream_free_output(stream);
	if (stream->going) {
		stream_close(stream);
		return;
	}
	if (stream->finishing)
		stream_send_fin(stream);
	stream_tell(stream, STREAM_DRAINED);
}

static void on_written(uv_write_t *request, int status)
{
	struct stream *stream = request->data;
	if (!stream->open)
		return;
	if (status < 0 || stream->error) {
		stream->error = stream->error ? stream->error : uv_strerror(status);
		stream_tell_failed(stream);
		return;
	}
	buf_done(&stream->output->sending);
	if (buf_len(&stream->output->waiting))
		send_waiting(stream);
	else
		on_drained(stream);
}

static void send_waiting(struct stream *stream)
{
	struct stream_output *output = stream->output;
	output->sending = output->waiting;
	output->waiting = (struct buf){0};
	struct str bytes = buf_str(&output->sending);
	uv_buf_t piece = uv_buf_init((char *)bytes.at, (unsigned)bytes.len);
	output->request.data = stream;
	int status = uv_write(&output->request, (uv_stream_t *)&stream->tcp, &piece, 1, on_written);
	if (status < 0)
		stream_break(stream, uv_strerror(status));
}

static void queue(struct stream *stream, struct str raw)
{
	bool idle = !stream->output;
	if (idle)
		stream->output = xcalloc(1, sizeof(*stream->output));
	if (!buf_add(&stream->output->waiting, raw, QUEUE_MAX))
		stream_break(stream, "out of memory for output");
	else if (idle)
		send_waiting(stream);
}

// The last bytes before an end are held back by the kernel until then, and so
// leave in one segment with FIN: a packet less for everybody.
static ssize_t send_last(struct stream *stream, struct str raw)
{
	uv_os_fd_t fd;
	int failed = uv_fileno((uv_handle_t *)&stream->tcp, &fd);
	if (failed)
		return failed;
	ssize_t n = send(fd, raw.at, raw.len, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? uv_translate_sys_error(errno) : n;
}

static ssize_t send_some(struct stream *stream, struct str raw)
{
	uv_buf_t piece = uv_buf_init((char *)raw.at, (unsigned)raw.len);
	return uv_try_write((uv_stream_t *)&stream->tcp, &piece, 1);
}

// Straight to the kernel; what it does not take is queued.
static bool write_now(struct stream *stream, struct str raw)
{
	if (stream->error || !stream->open)
		return false;
	stream->bytes_out += raw.len;
	if (!stream->output) {
		bool last = stream->going || stream->finishing;
		ssize_t n = last ? send_last(stream, raw) : send_some(stream, raw);
		if (n < 0 && n != UV_EAGAIN) {
			stream_break(stream, uv_strerror((int)n));
			return false;
		}
		raw = str_drop(raw, n > 0 ? (size_t)n : 0);
	}
	if (raw.len)
		queue(stream, raw);
	return !stream->error;
}

bool stream_flush(struct stream *stream)
{
	struct net_cork *cork = stream->cork;
	struct str gathered = {cork->at, cork->len};
	cork->len = 0;
	bool written = gathered.len == 0 || write_now(stream, gathered);
	if (cork->secret)
		explicit_bzero(cork->at, gathered.len);
	cork->secret = false;
	return written;
}

void stream_pull_cork(struct stream *stream)
{
	if (!stream->cork)
		return;
	stream_flush(stream);
	stream->cork->stream = NULL;
	stream->cork = NULL;
}

void stream_pull_corks(struct net *net)
{
	net->num_reads = 0;
	for (size_t i = 0; i < NET_CORKS; i++)
		if (net->corks[i].stream)
			stream_pull_cork(net->corks[i].stream);
}

static struct net_cork *find_cork(struct net *net)
{
	for (size_t i = 0; i < NET_CORKS; i++)
		if (!net->corks[i].stream)
			return &net->corks[i];
	stream_pull_corks(net);
	return &net->corks[0];
}

static struct net_cork *cork_of(struct stream *stream)
{
	if (!stream->cork) {
		stream->cork = find_cork(stream->net);
		stream->cork->stream = stream;
	}
	return stream->cork;
}

bool stream_write_raw(struct stream *stream, struct str raw)
{
	if (!stream->open)
		return false;
	struct net_cork *cork = cork_of(stream);
	if (raw.len > NET_CORK_SIZE - cork->len && !stream_flush(stream))
		return false;
	if (raw.len > NET_CORK_SIZE)
		return write_now(stream, raw);
	memcpy(cork->at + cork->len, raw.at, raw.len);
	cork->len += raw.len;
	cork->secret = cork->secret || stream->secret;
	return !stream->error;
}

void stream_settle(struct stream *stream)
{
	if (stream->cork && stream->cork->len > HELD_MAX)
		stream_pull_cork(stream);
}

void stream_write(struct stream *stream, struct str bytes)
{
	bool may_write = stream->open && !stream->error && !stream->finishing && !stream->going;
	if (!may_write || stream_is_in_handshake(stream) || !bytes.len)
		return;
	if (!stream->tls)
		stream_write_raw(stream, bytes);
	else if (tls_write(stream->tls, bytes) == TLS_FAILED)
		stream_break_tls(stream);
}

size_t stream_queued(const struct stream *stream)
{
	if (!stream->output)
		return 0;
	return buf_len(&stream->output->sending) + buf_len(&stream->output->waiting);
}
