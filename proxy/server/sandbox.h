// sandbox.h: what a process of popgate gives up, and what it needs first.
//
// The supervisor looks the ids up while it loads a configuration, so that a
// user who does not exist is a refused configuration and not a dead worker.
// Each worker enters the sandbox as its first act; from there is no way back.
#ifndef POPGATE_PROXY_SERVER_SANDBOX_H
#define POPGATE_PROXY_SERVER_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "proxy/base/text.h"

struct sandbox_identity {
	bool change; // false: the process is not root and stays who it is
	uid_t uid;
	gid_t gid;
};

// Who workers shall be.  An empty group means that of the user.  False with
// the reason in *why when root and there is no such user or group, or when
// they would stay root.
__attribute__((warn_unused_result)) bool sandbox_look_up(
    struct str user, struct str group, struct sandbox_identity *out_identity, struct text *why);

// Becomes that user for good, can gain no privileges by execv, leaves no core
// file and cannot be traced by other processes of the user.  When the system
// refuses, logs why and ends the process.
void sandbox_enter(const struct sandbox_identity *identity);

// Raises the number of descriptors to what the system allows at all.  Called
// by the supervisor once; workers inherit it.
void sandbox_raise_descriptors(void);

#endif
