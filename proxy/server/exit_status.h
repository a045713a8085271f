// exit_status.h: how a child of the supervisor ended, in words for the log.
//
// Pure.  Used where workers are collected and the process that serves the numbers.
#ifndef POPGATE_PROXY_SERVER_EXIT_STATUS_H
#define POPGATE_PROXY_SERVER_EXIT_STATUS_H

#include "proxy/base/text.h"

// Of a status as waitpid(2) gives it, of a child that has ended.
void exit_status_add(struct text *out, int status);

#endif
