// signer.c: questions out and answers in.  See signer.h.
//
// `out` is a ring of the questions that were sent, oldest first; answers come in that
// order, so the oldest is always the one that is answered, and the id only confirms it.
// One that was cancelled leaves its place empty until its answer comes.
#include "proxy/net/signer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/die.h"

struct signer {
	struct net *net;
	int fd; // -1: none
	// In turns: one may still be closing when the next socket comes.
	struct watch watches[2];
	struct watch *watch;
	struct net_task flush;
	struct signing waiting; // head of a list
	struct signing *out[SIGNER_WINDOW];
	uint32_t first_id; // of the oldest that is out
	uint32_t next_id;
	void (*on_lost)(void *context);
	void *context;
};

static const char lost[] = "the process that has the private keys has ended";
static const char refused[] = "the process that has the private keys gives no signature";

struct signer *signer_new(void)
{
	struct signer *signer = xcalloc(1, sizeof(*signer));
	signer->fd = -1;
	signer->waiting.next = signer->waiting.previous = &signer->waiting;
	return signer;
}

void signer_free(struct signer **signer)
{
	free(*signer);
	*signer = NULL;
}

// ---- the two lists ------------------------------------------------------

static bool has_waiting(const struct signer *signer)
{
	return signer->waiting.next != &signer->waiting;
}

static void unlink_waiting(struct signing *signing)
{
	BUG_ON(!signing->previous);
	signing->previous->next = signing->next;
	signing->next->previous = signing->previous;
	signing->next = signing->previous = NULL;
}

static struct signing **place_of(struct signer *signer, uint32_t id)
{
	return &signer->out[id % SIGNER_WINDOW];
}

static void tell(struct signing *signing, struct str signature, const char *problem)
{
	signing->is_out = false;
	signing->signature = signature;
	signing->problem = problem;
	signing->on_done(signing);
}

// The oldest that is out has come to this.
static void settle_oldest(struct signer *signer, struct str signature, const char *problem)
{
	struct signing **place = place_of(signer, signer->first_id++);
	struct signing *signing = *place;
	*place = NULL;
	if (signing)
		tell(signing, signature, problem);
}

// ---- the socket ---------------------------------------------------------

static void forget_socket(struct signer *signer)
{
	if (signer->fd < 0)
		return;
	watch_close(signer->watch);
	close(signer->fd);
	signer->fd = -1;
}

// What was out stays without an answer.
static void end_socket(struct signer *signer)
{
	forget_socket(signer);
	while (signer->first_id != signer->next_id)
		settle_oldest(signer, STR(""), lost);
}

static void lose(struct signer *signer)
{
	end_socket(signer);
	signer->on_lost(signer->context);
}

static size_t gather(struct signer *signer, char packet[SIGNING_QUESTIONS_MAX])
{
	size_t len = 0;
	for (unsigned i = 0; i < SIGNING_BATCH && has_waiting(signer) &&
	                     signer->next_id - signer->first_id < SIGNER_WINDOW;
	     i++) {
		struct signing *signing = signer->waiting.next;
		unlink_waiting(signing);
		signing->is_out = true;
		signing->head.id = signer->next_id++;
		*place_of(signer, signing->head.id) = signing;
		len = signing_add(
		    packet, len, &signing->head, (struct str){signing->text, signing->head.len});
	}
	return len;
}

// What cannot be sent shows as the socket's end too.
static void flush(struct net_task *task)
{
	struct signer *signer = (struct signer *)((char *)task - offsetof(struct signer, flush));
	char packet[SIGNING_QUESTIONS_MAX];
	size_t len;
	while (signer->fd >= 0 && (len = gather(signer, packet)))
		if (send(signer->fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len) {
			lose(signer);
			return;
		}
}

static bool take_answers(struct signer *signer, struct str packet)
{
	struct signing_frame frame;
	while (signing_take(&packet, SIGNATURE_MAX, &frame)) {
		if (signer->first_id == signer->next_id || frame.head.id != signer->first_id)
			return false;
		settle_oldest(signer, frame.bytes, frame.bytes.len ? NULL : refused);
	}
	return !packet.len;
}

static void ask_for_flush(struct signer *signer)
{
	if (signer->fd >= 0 && has_waiting(signer))
		net_defer(signer->net, &signer->flush);
}

static void on_readable(struct watch *watch)
{
	struct signer *signer = watch->context;
	char packet[SIGNING_ANSWERS_MAX];
	ssize_t n = recv(signer->fd, packet, sizeof(packet), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !take_answers(signer, (struct str){packet, (size_t)n}))
		lose(signer);
	else
		ask_for_flush(signer);
}

// ---- from outside -------------------------------------------------------

void signer_open(
    struct signer *signer, struct net *net, void (*on_lost)(void *context), void *context)
{
	signer->net = net;
	signer->on_lost = on_lost;
	signer->context = context;
	signer->flush.run = flush;
	for (size_t i = 0; i < 2; i++) {
		signer->watches[i].on_readable = on_readable;
		signer->watches[i].context = signer;
	}
}

void signer_use(struct signer *signer, int fd)
{
	end_socket(signer);
	signer->watch = &signer->watches[signer->watch == &signer->watches[0]];
	signer->fd = fd;
	if (watch_open(signer->watch, signer->net, fd))
		ask_for_flush(signer);
	else
		lose(signer);
}

void signer_close(struct signer *signer)
{
	forget_socket(signer);
	net_cancel(signer->net, &signer->flush);
}

bool signer_start(struct signer *signer, struct signing *signing, uint32_t slot, uint16_t algorithm,
    struct str text)
{
	if (text.len > sizeof(signing->text) || !signing_is_tls(algorithm, text))
		return false;
	signing->head =
	    (struct signing_head){.slot = slot, .algorithm = algorithm, .len = (uint16_t)text.len};
	memcpy(signing->text, text.at, text.len);
	signing->is_out = false;
	signing->next = &signer->waiting;
	signing->previous = signer->waiting.previous;
	signing->previous->next = signer->waiting.previous = signing;
	ask_for_flush(signer);
	return true;
}

void signer_cancel(struct signer *signer, struct signing *signing)
{
	if (signing->is_out)
		*place_of(signer, signing->head.id) = NULL;
	else if (signing->previous)
		unlink_waiting(signing);
	signing->is_out = false;
}
