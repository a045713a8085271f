// prompt.h: asks for a password.
//
// Called by commands, never by what serves.
#ifndef POPGATE_PROXY_PROMPT_H
#define POPGATE_PROXY_PROMPT_H

#include "proxy/base/secret.h"
#include "proxy/base/text.h"

// Longer lines are refused.
enum { PROMPT_MAX = 1024 };

// Asks twice on the terminal, without echo.  False with the reason in *why: there
// is no terminal, the two differ, the line is too long, or the user gave up.
__attribute__((warn_unused_result)) bool prompt_password(
    const char *question, struct secret *out, struct text *why);

// Reads the next line of standard input.  False with the reason in *why.
__attribute__((warn_unused_result)) bool prompt_read_line(struct secret *out, struct text *why);

#endif
