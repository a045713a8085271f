// keys.c: the life of the process that has the private keys.  See keys.h.
//
// It reads like a recipe: give up root and system calls, and then, turn by turn, take
// the supervisor's orders and answer one packet of each worker.
//
// A certificate's slots are its index, plus the number of certificates for each renewal.
// The key of the renewal before is kept for a moment, since a worker may still ask for it:
// it hears of a new certificate after its key is here, and may have questions under way.
#include "proxy/server/keys.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certs/pair.h"
#include "certs/private_key.h"
#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/net/signing.h"
#include "proxy/server/clock.h"
#include "proxy/server/filter.h"
#include "proxy/server/keys_order.h"

enum {
	KEPT = 2,
	FORMER_MS = 5 * 1000, // how long a former key is kept
	WORKERS_FEW = 8,
};

struct key {
	uint32_t slot;
	struct evp_pkey_st *key; // NULL: none
	uint64_t end_ms;         // of a former one, when it goes
};

struct place {
	struct key keys[KEPT]; // those of even and of odd renewals
};

// A process has one set of them.
static struct {
	struct place *places; // one for each certificate
	size_t num_places;
	struct pollfd *fds; // the supervisor (-1: gone), and then the workers
	size_t num_fds, cap_fds;
	uint64_t end_ms; // when the next former key goes; CLOCK_NEVER: there is none
	size_t first;    // worker to be served first in the next turn
} keys;

// ---- keys ---------------------------------------------------------------

static struct key *key_at(uint32_t slot)
{
	struct place *place = &keys.places[slot % keys.num_places];
	return &place->keys[slot / keys.num_places % KEPT];
}

static void put(uint32_t slot, struct evp_pkey_st *new)
{
	struct key *key = key_at(slot), *former = key_at(slot + (uint32_t)keys.num_places);
	private_key_free(&key->key);
	*key = (struct key){slot, new, CLOCK_NEVER};
	former->end_ms = clock_ms() + FORMER_MS;
	keys.end_ms = clock_earlier(keys.end_ms, former->end_ms);
}

static void wipe_if_due(struct key *key, uint64_t now_ms)
{
	if (!key->key)
		return;
	if (now_ms >= key->end_ms)
		private_key_free(&key->key);
	else
		keys.end_ms = clock_earlier(keys.end_ms, key->end_ms);
}

static void wipe_former(void)
{
	uint64_t now_ms;
	if (keys.end_ms == CLOCK_NEVER || (now_ms = clock_ms()) < keys.end_ms)
		return;
	keys.end_ms = CLOCK_NEVER;
	for (size_t i = 0; i < keys.num_places; i++)
		for (size_t k = 0; k < KEPT; k++)
			wipe_if_due(&keys.places[i].keys[k], now_ms);
}

static void judge(int channel, const struct keys_order *order, int fd)
{
	char room[512];
	struct text why = TEXT(room);
	char *key_path = str_dup(order->key_path), *chain_path = str_dup(order->chain_path);
	struct evp_pkey_st *new = pair_read_key(fd, key_path, order->leaf, chain_path, &why);
	if (new && order->kind == KEYS_ORDER_key)
		put(order->slot, new);
	else
		private_key_free(&new);
	keys_answer_send(channel, order->slot, text_str(&why));
	free(key_path);
	free(chain_path);
}

// ---- orders -------------------------------------------------------------

static void add_worker(int fd)
{
	if (keys.num_fds == keys.cap_fds) {
		keys.cap_fds *= 2;
		keys.fds = xrealloc(keys.fds, keys.cap_fds * sizeof(*keys.fds));
	}
	keys.fds[keys.num_fds++] = (struct pollfd){fd, POLLIN, 0};
}

static void obey(int channel, const struct keys_order *order, int fd)
{
	if (fd < 0)
		return;
	switch (order->kind) {
	case KEYS_ORDER_worker: add_worker(fd); return;
	case KEYS_ORDER_key:
	case KEYS_ORDER_judge: judge(channel, order, fd); break;
	}
	close(fd);
}

static void take_orders(void)
{
	static char room[KEYS_ORDER_MAX];
	struct keys_order order;
	enum keys_result result;
	int fd, channel = keys.fds[0].fd;
	while ((result = keys_order_receive(channel, room, &order, &fd)) == KEYS_RECEIVED)
		obey(channel, &order, fd);
	if (result == KEYS_GONE) {
		close(channel);
		keys.fds[0].fd = -1;
	}
}

// ---- workers ------------------------------------------------------------

static size_t sign(const struct signing_frame *question, uint8_t out[SIGNATURE_MAX])
{
	const struct key *key = key_at(question->head.slot);
	uint16_t algorithm = question->head.algorithm;
	if (!key->key || key->slot != question->head.slot ||
	    !signing_is_tls(algorithm, question->bytes))
		return 0;
	return signing_sign(key->key, algorithm, question->bytes, out);
}

// The length of the answers; 0 when the packet holds anything but questions.
static size_t answer(struct str packet, char answers[SIGNING_ANSWERS_MAX])
{
	struct signing_frame question;
	size_t len = 0;
	for (int i = 0; i < SIGNING_BATCH && signing_take(&packet, SIGNING_TEXT_MAX, &question);
	     i++) {
		uint8_t signature[SIGNATURE_MAX];
		struct str bytes = {(const char *)signature, sign(&question, signature)};
		len = signing_add(answers, len, &question.head, bytes);
	}
	return packet.len ? 0 : len;
}

// False when the worker is to be let go.
static bool serve(int fd)
{
	char questions[SIGNING_QUESTIONS_MAX], answers[SIGNING_ANSWERS_MAX];
	ssize_t n = recv(fd, questions, sizeof(questions), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0 || n > (ssize_t)sizeof(questions))
		return false;
	size_t len = answer((struct str){questions, (size_t)n}, answers);
	return len && send(fd, answers, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static void serve_workers(void)
{
	size_t num = keys.num_fds - 1;
	for (size_t i = 0; i < num; i++) {
		struct pollfd *fd = &keys.fds[1 + (keys.first + i) % num];
		if (fd->revents && !serve(fd->fd)) {
			close(fd->fd);
			fd->fd = -1;
		}
	}
	keys.first++;
}

static void forget_ended(void)
{
	size_t num = 1;
	for (size_t i = 1; i < keys.num_fds; i++)
		if (keys.fds[i].fd >= 0)
			keys.fds[num++] = keys.fds[i];
	keys.num_fds = num;
}

// ---- the recipe ---------------------------------------------------------

static void open_set(int channel, size_t num_certificates)
{
	keys.places = xcalloc(num_certificates, sizeof(*keys.places));
	keys.num_places = num_certificates;
	keys.cap_fds = WORKERS_FEW;
	keys.fds = xcalloc(keys.cap_fds, sizeof(*keys.fds));
	keys.fds[0] = (struct pollfd){channel, POLLIN, 0};
	keys.num_fds = 1;
	keys.end_ms = CLOCK_NEVER;
}

static void close_set(void)
{
	for (size_t i = 0; i < keys.num_places; i++)
		for (size_t k = 0; k < KEPT; k++)
			private_key_free(&keys.places[i].keys[k].key);
	free(keys.places);
	free(keys.fds);
}

static void close_off(void)
{
	char room[256];
	struct text why = TEXT(room);
	if (filter_enter(FILTER_keys, &why))
		return;
	log_why(LOG_keys_not_started, "%s", room);
	exit(EXIT_FAILURE);
}

void keys_run(int channel, size_t num_certificates, const struct sandbox_identity *identity)
{
	prctl(PR_SET_NAME, "popgate-keys", 0, 0, 0);
	sandbox_enter(identity);
	open_set(channel, num_certificates);
	close_off();
	while (keys.fds[0].fd >= 0 || keys.num_fds > 1) {
		if (poll(keys.fds, keys.num_fds, keys.end_ms == CLOCK_NEVER ? -1 : FORMER_MS) < 0)
			continue;
		wipe_former();
		serve_workers();
		if (keys.fds[0].revents)
			take_orders();
		forget_ended();
	}
	close_set();
	exit(EXIT_SUCCESS);
}
