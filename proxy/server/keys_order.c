// keys_order.c: orders and answers as packets.  See keys_order.h.
//
// An order is its head and then three texts, each with its length in the head.
#include "proxy/server/keys_order.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "certs/fit.h"
#include "proxy/server/descriptor.h"

enum { TEXTS = 3, ANSWER_MAX = 1024 };

struct order_head {
	uint32_t kind;
	uint32_t slot;
	uint32_t lens[TEXTS];
};

_Static_assert(sizeof(struct order_head) + 2 * PATH_MAX + FIT_CHAIN_MAX <= KEYS_ORDER_MAX,
    "an order about a pair that fits, in files that could be opened, must come through");

bool keys_channel_open(int *out_supervisor, int *out_keys)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	*out_supervisor = ends[0];
	*out_keys = ends[1];
	return true;
}

// ---- orders -------------------------------------------------------------

static bool wait_for(int channel, short events, int wait_ms)
{
	struct pollfd fd = {channel, events, 0};
	int n = poll(&fd, 1, wait_ms);
	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1;
}

bool keys_order_send(int channel, const struct keys_order *order, int fd, int wait_ms)
{
	const struct str texts[TEXTS] = {order->key_path, order->chain_path, order->leaf};
	struct order_head head = {.kind = (uint32_t)order->kind, .slot = order->slot};
	struct iovec parts[TEXTS + 1] = {{&head, sizeof(head)}};
	for (size_t i = 0; i < TEXTS; i++) {
		head.lens[i] = (uint32_t)texts[i].len;
		parts[i + 1] = (struct iovec){(void *)texts[i].at, texts[i].len};
	}
	return wait_for(channel, POLLOUT, wait_ms) &&
	       descriptor_send(channel, parts, TEXTS + 1, fd) >= 0;
}

static bool take_texts(struct str rest, const struct order_head *head, struct keys_order *out)
{
	struct str *texts[TEXTS] = {&out->key_path, &out->chain_path, &out->leaf};
	for (size_t i = 0; i < TEXTS; i++) {
		if (head->lens[i] > rest.len)
			return false;
		*texts[i] = str_take(rest, head->lens[i]);
		rest = str_drop(rest, head->lens[i]);
	}
	return !rest.len;
}

enum keys_result keys_order_receive(
    int channel, char room[KEYS_ORDER_MAX], struct keys_order *out, int *out_fd)
{
	struct order_head head;
	ssize_t n = descriptor_receive(channel, room, KEYS_ORDER_MAX, out_fd);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return KEYS_EMPTY;
	if (n < (ssize_t)sizeof(head))
		return KEYS_GONE;
	memcpy(&head, room, sizeof(head));
	*out = (struct keys_order){.kind = (enum keys_order_kind)head.kind, .slot = head.slot};
	struct str rest = {room + sizeof(head), (size_t)n - sizeof(head)};
	return take_texts(rest, &head, out) ? KEYS_RECEIVED : KEYS_GONE;
}

// ---- answers ------------------------------------------------------------

// The supervisor waits for it, so there is room.
void keys_answer_send(int channel, uint32_t slot, struct str why)
{
	char packet[ANSWER_MAX];
	struct str said = str_take(why, sizeof(packet) - sizeof(slot));
	memcpy(packet, &slot, sizeof(slot));
	if (said.len)
		memcpy(packet + sizeof(slot), said.at, said.len);
	(void)send(channel, packet, sizeof(slot) + said.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

enum keys_result keys_answer_receive(int channel, int wait_ms, uint32_t *out_slot, struct text *why)
{
	char packet[ANSWER_MAX];
	if (!wait_for(channel, POLLIN, wait_ms))
		return KEYS_EMPTY;
	ssize_t n = recv(channel, packet, sizeof(packet), MSG_DONTWAIT);
	if (n < (ssize_t)sizeof(*out_slot))
		return KEYS_GONE;
	memcpy(out_slot, packet, sizeof(*out_slot));
	text_add(why, (struct str){packet + sizeof(*out_slot), (size_t)n - sizeof(*out_slot)});
	return KEYS_RECEIVED;
}
