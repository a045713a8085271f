// keys_order.h: what the supervisor tells the process that has the private keys, and
// what it hears from there.
//
// One packet an order, with one descriptor.  Orders about keys are answered, one packet
// each and in their order.
#ifndef POPGATE_PROXY_SERVER_KEYS_ORDER_H
#define POPGATE_PROXY_SERVER_KEYS_ORDER_H

#include <stdint.h>

#include "proxy/base/text.h"

enum { KEYS_ORDER_MAX = 128 * 1024 };

enum keys_order_kind {
	KEYS_ORDER_key = 'K',    // read the key in this file
	KEYS_ORDER_judge = 'J',  // only say whether it could be taken
	KEYS_ORDER_worker = 'W', // serve the worker at this socket
};

// Of a worker, only its kind.
struct keys_order {
	enum keys_order_kind kind;
	uint32_t slot;
	struct str key_path, chain_path; // for messages
	struct str leaf;                 // the certificate that the key must belong to (DER)
};

// Both ends closed by execv.  False with errno set.
__attribute__((warn_unused_result)) bool keys_channel_open(int *out_supervisor, int *out_keys);

// Waits until the other side has room for it, at most `wait_ms`.  fd stays the
// caller's.  False with errno set.
__attribute__((warn_unused_result)) bool keys_order_send(
    int channel, const struct keys_order *order, int fd, int wait_ms);

enum keys_result { KEYS_RECEIVED, KEYS_EMPTY, KEYS_GONE };

// Without waiting.  The order points into `room`; *out_fd is the caller's to close.
enum keys_result keys_order_receive(
    int channel, char room[KEYS_ORDER_MAX], struct keys_order *out, int *out_fd);

// An empty why: the key is taken.
void keys_answer_send(int channel, uint32_t slot, struct str why);

// Waits at most `wait_ms`.  KEYS_EMPTY: it was not said in time.
enum keys_result keys_answer_receive(
    int channel, int wait_ms, uint32_t *out_slot, struct text *why);

#endif
