// certificates_watch.h: serves renewed certificates without a reload.
//
// Driven by the supervisor's loop, which reads the files with its own rights.  The files
// of the serving generation are looked at ten times a second, through links, as certbot
// has them; one that is another now is read once it has rested for a moment, since tools
// also write over the file in place.  Chain and key are read whole; when they belong
// together and are another pair than what is served, it takes the place of that in the
// snapshot, which workers to come inherit, and is sent to those that run.  Sessions and
// handshakes that have begun go on with what they had.
//
// Until then the old pair is served.  A pair that does not belong together is what every
// renewal is for a moment, so it is told only when it lasts.
//
// One that is not valid now, or whose intermediate certificate is not, does not take the place
// of one that is; when its time has come it does.  A start and a reload serve what is there: the
// clock may be wrong, and the log tells.
//
// Workers of before an upgrade get none, and draining ones keep what they have: the first
// are replaced at once, the second take no new clients.
//
// The road not taken: inotify.  It would have to follow every link and every folder on
// the way, by code many times this, to save two stat(2) of a microsecond each.
#ifndef POPGATE_PROXY_SERVER_CERTIFICATES_WATCH_H
#define POPGATE_PROXY_SERVER_CERTIFICATES_WATCH_H

#include "certs/leaf.h"
#include "proxy/base/file_mark.h"
#include "proxy/server/generation.h"

// What the files of a pair were.
struct pair_mark {
	struct file_mark chain, key;
};

struct watched_pair {
	struct pair_mark judged; // what was taken or refused
	struct pair_mark seen;   // the last time
	uint64_t refused_ms;     // when to tell of a refusal; 0: there is none to tell
	char *why;               // of it
	int64_t again_s;         // when to judge it again, by unix time; 0: when it has changed
};

// The zero state is ready.
struct certificates_watch {
	struct watched_pair *pairs; // of config->certificates
	size_t num;
	unsigned generation; // whose they are
	uint64_t look_ms;    // when to look again
	uint64_t end_ms;     // when to look at the ends again
};

// Does what is due, and logs what came of it.
void certificates_watch_tick(
    struct certificates_watch *watch, const struct generations *generations, uint64_t now_ms);

// When something will be due; CLOCK_NEVER while nobody serves TLS.
uint64_t certificates_watch_next_due(
    const struct certificates_watch *watch, const struct generations *generations);

// Sends the certificate at that index of the snapshot, as it is there now, to the
// generation's workers.
void certificates_send(struct generation *generation, size_t index);

// Whether that certificate is valid, and its end not to be warned of (leaf_ends_soon).
bool certificates_is_sound(const struct config *config, const struct leaf *leaf);

void certificates_watch_done(struct certificates_watch *watch);

#endif
