// exit_status.h: how a child process ended, in words.
//
// Pure.  Used by everyone who starts a process and tells people of its end.
#ifndef POPGATE_PROXY_BASE_EXIT_STATUS_H
#define POPGATE_PROXY_BASE_EXIT_STATUS_H

#include "proxy/base/text.h"

// Adds "was killed by signal 9 (Killed)" or "ended with status 1": it stands by itself, and
// behind who it was.  The status is waitpid(2)'s, of a child that has ended.
void exit_status_add(struct text *out, int status);

#endif
