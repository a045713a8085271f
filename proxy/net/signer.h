// signer.h: a worker's way to signatures: it has no private keys and asks the process
// that has.
//
// Used by tls_signer.c.  One per worker, made with the snapshot and opened once the
// worker has its loop.  Each handshake under way has at most one question.  Questions
// of one turn of the loop leave together, and so do their answers come.
//
// At most SIGNER_WINDOW questions are out; the others wait here, in the order in which
// they came.  So what lies in the socket always fits, and a process that does not answer
// costs a worker no more than the handshakes themselves, which have their deadline.
//
// When the socket ends, questions that were out fail; whichever of them ended the other
// side is not asked again.  Those not yet out, and new ones, wait for another socket.
//
// The contract: start never calls back before it returns; on_done is called exactly once
// unless cancelled, and after cancel never; a question's memory is its owner's.
#ifndef POPGATE_PROXY_NET_SIGNER_H
#define POPGATE_PROXY_NET_SIGNER_H

#include "proxy/net/signing.h"
#include "proxy/net/watch.h"

enum { SIGNER_WINDOW = 64 };

struct signing {
	void (*on_done)(struct signing *signing);
	// What came of it, valid in on_done: the signature, or none and why.
	struct str signature;
	const char *problem; // a static string
	// Of signer.c:
	struct signing *next, *previous;
	bool is_out;
	struct signing_head head;
	char text[SIGNING_TEXT_MAX];
};

struct signer;

// Without a socket; questions would wait.
struct signer *signer_new(void);
void signer_free(struct signer **signer);

// Called once in a worker.  `on_lost` is told each time a socket has ended (its context
// is given back); a new one is to be given.
void signer_open(
    struct signer *signer, struct net *net, void (*on_lost)(void *context), void *context);

// A socket to the process that has the keys; taken over.  One there was is closed.
void signer_use(struct signer *signer, int fd);

// For the end of the loop; no question may be left.
void signer_close(struct signer *signer);

// Has the text signed by the key in that slot.  on_done is filled in by the caller.
// False, and nothing begun, when no signature of TLS has such a text.
__attribute__((warn_unused_result)) bool signer_start(struct signer *signer,
    struct signing *signing, uint32_t slot, uint16_t algorithm, struct str text);

// A question that is under way is forgotten.
void signer_cancel(struct signer *signer, struct signing *signing);

#endif
