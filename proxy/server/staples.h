// staples.h: OCSP responses for the certificates that are served: where they come from,
// how long each is good, and who gets them.
//
// Driven by the supervisor's loop.  Once a second it compares what the generation that
// serves has for certificates with what it knows, and what each generation staples with
// what should be stapled; whatever differs is put in the snapshot, which workers to come
// inherit, and sent to those that run.  So nobody need tell it of a certificate that was
// replaced.  No handshake ever waits for it: one without a response goes on without.
//
// A response is asked for at once, again when half of the time is over for which the last
// one is good, and after a failure in 1 minute, 2, 4, up to an hour.  Until its nextUpdate
// it is kept whatever fails; then it is dropped, since clients refuse a certificate with a
// stale response and not one without.  A file is read whenever it has changed.
//
// Of a revoked certificate nothing is stapled: clients that find out for themselves will
// refuse it anyway, and it is the administrator who must be told.
#ifndef POPGATE_PROXY_SERVER_STAPLES_H
#define POPGATE_PROXY_SERVER_STAPLES_H

#include "proxy/server/fetcher.h"
#include "proxy/server/generation.h"

struct staple;

struct staples {
	struct staple *first;
	struct staple *asked; // whose responder the fetcher asks; NULL: nobody wants to know
	struct fetcher fetcher;
	uint64_t look_ms;    // when to look again
	unsigned generation; // whose certificates they are
};

void staples_init(struct staples *staples);

// Puts what there is into a snapshot, before workers are started with it.
void staples_put(const struct staples *staples, const struct snapshot *snapshot);

// Until when that of the certificate can be used, by unix time; 0: there is none.
int64_t staples_next_update(
    const struct staples *staples, const struct snapshot *snapshot, size_t index);

// Does what is due, and logs what came of it.
void staples_tick(struct staples *staples, const struct generations *generations, uint64_t now_ms);

// A child of the supervisor's has ended; false when it is not the one that asks.
bool staples_reaped(struct staples *staples, pid_t pid, int status);

// When something will be due; CLOCK_NEVER while no certificate is to be stapled to.
uint64_t staples_next_due(const struct staples *staples, const struct generations *generations);

// Asks nobody any more.
void staples_stop(struct staples *staples);

// Forgets all.  Nobody may be asked still.
void staples_done(struct staples *staples);

// Whether the file can be stapled to this certificate as things are; otherwise why not.
__attribute__((warn_unused_result)) bool staples_try_file(
    const struct tls_certificate *certificate, const char *path, struct text *why);

#endif
