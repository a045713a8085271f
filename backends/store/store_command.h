// store_command.h: what a client of the sample store may ask for.
//
// Called by the session for each line.  Answers go through the session.
#ifndef POPGATE_BACKENDS_STORE_STORE_COMMAND_H
#define POPGATE_BACKENDS_STORE_STORE_COMMAND_H

#include "backends/store/store_session.h"

// Carries out one line, given without its end.
void store_command_run(struct store_session *session, struct str line);

#endif
