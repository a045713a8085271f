// supervisor.h: the process that an administrator talks to: it holds the
// listening sockets, starts the workers, and obeys signals.
//
//     SIGHUP                     read the configuration again, in new workers
//     SIGUSR2                    execute the binary again, in place
//     SIGTERM, SIGINT, SIGQUIT   drain and stop; once more: stop at once
//
// Called by main.c for `popgate serve`.  It serves no client itself, and its
// loop never waits for anything but poll(2); only loading a configuration may
// take a moment (it looks up the servers' names).
#ifndef POPGATE_PROXY_SERVER_SUPERVISOR_H
#define POPGATE_PROXY_SERVER_SUPERVISOR_H

// Serves with the configuration in this file until told to stop.  argv is the
// program's own, kept for an upgrade.  Returns the program's exit status.
int supervisor_run(const char *config_path, char **argv);

#endif
