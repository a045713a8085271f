// logged.h: what the code under test writes to the log, for tests that ask
// whether and how often something was told.
#ifndef POPGATE_TESTS_KIT_LOGGED_H
#define POPGATE_TESTS_KIT_LOGGED_H

#include "proxy/base/log.h"

// From now on the log goes to a file of its own, in full.
void logged_open(void);

// How many lines have this in them.
unsigned logged_lines(const char *part);

// Back to stderr; the file is gone.
void logged_close(void);

#endif
