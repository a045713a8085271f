// trial.h: before an upgrade, the binary that is to be executed must pass
// `popgate check` on the configuration in use.
//
// Run by the supervisor as a child that it does not wait for: it polls the
// output and reports the child's end.  What the child says on stderr goes into
// the log.  trial_init makes one that is not running.
#ifndef POPGATE_PROXY_SERVER_TRIAL_H
#define POPGATE_PROXY_SERVER_TRIAL_H

#include <sys/types.h>

#include "proxy/base/text.h"

struct trial {
	pid_t pid;  // 0: none is running
	int output; // -1: none
	uint64_t deadline_ms;
	size_t len;
	char line[512];
};

void trial_init(struct trial *trial);

// Starts `binary check -c config_path`.  False with the reason in *why.
__attribute__((warn_unused_result)) bool trial_start(
    struct trial *trial, const char *binary, const char *config_path, struct text *why);

// Logs what it has said by now.
void trial_read(struct trial *trial);

// It has ended with this status.  False, with the reason in *why, when the
// binary has not passed.
__attribute__((warn_unused_result)) bool trial_passed(
    struct trial *trial, int status, struct text *why);

// Kills it when it runs for too long, or at once; its end is reported as ever.
void trial_tick(struct trial *trial, uint64_t now_ms);
void trial_kill(struct trial *trial);

#endif
