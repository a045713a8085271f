// helper_probe.h: finds out whether winbind can judge logins, and says what is wrong.
//
// From end to end: a helper as workers get them is asked about nobody, and only when a
// domain controller says that it knows no such account is all well.  Run by the
// supervisor once a configuration is in force (its loop drives it), and by `popgate
// check`, which waits for it.  Nobody is let in or locked out by it.
//
// What it finds is no problem of the configuration: winbind and domain controllers come
// and go, so nothing is refused because of it.
#ifndef POPGATE_PROXY_SERVER_HELPER_PROBE_H
#define POPGATE_PROXY_SERVER_HELPER_PROBE_H

#include "proxy/server/helpers.h"

enum helper_finding {
	HELPER_FINDING_none,    // it is under way, or none was started
	HELPER_FINDING_ready,   // *why: the domain
	HELPER_FINDING_domain,  // it works, but for another domain; *why says so
	HELPER_FINDING_unusable // *why says what is wrong
};

struct helper_probe {
	struct helper_command *command; // NULL: it does not run
	char *domain;
	uint64_t timeout_ms;
	size_t step;
	pid_t pid;  // 0: reaped
	int output; // -1: none
	uint64_t deadline_ms;
	size_t len;
	char said[2048];
	bool is_late;
};

// One that does not run.
void helper_probe_init(struct helper_probe *probe);

// Starts it (anew).  Takes over the command, that of this configuration.
void helper_probe_start(struct helper_probe *probe, struct helper_command *command,
    const struct winbind_options *options);

// Reads and goes on; to be called when the output can be read or at the deadline.  A
// finding is told once, and then it does not run.
enum helper_finding helper_probe_tick(
    struct helper_probe *probe, uint64_t now_ms, struct text *why);

// A child has ended.
void helper_probe_reaped(struct helper_probe *probe, pid_t pid);

void helper_probe_stop(struct helper_probe *probe);

// The whole, for a program that may wait.  None: *why says what this configuration lacks
// for helpers to be started at all.
enum helper_finding helper_probe_run(const struct config *config, struct text *why);

#endif
