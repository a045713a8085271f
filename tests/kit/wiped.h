// wiped.h: tells whether a password was still in memory that was given back.
//
// Used by tests of what keeps secrets.  The linker puts it before free(): what
// a freed block holds cannot be asked afterwards.
#ifndef POPGATE_TESTS_KIT_WIPED_H
#define POPGATE_TESTS_KIT_WIPED_H

#include "proxy/base/str.h"

// Watches for blocks that are freed while they hold `secret` (static); counts
// from 0 again.
void wiped_watch(struct str secret);

// How many there were.
unsigned wiped_leaks(void);

#endif
