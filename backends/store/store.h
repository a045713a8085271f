// store.h: `popgate store`, a small POP3 server that serves one Maildir.
//
// Called by main.  It is for trying popgate out, and says so: one user,
// loopback addresses only, no TLS (popgate gives it), no lock on the mailbox.
#ifndef POPGATE_BACKENDS_STORE_STORE_H
#define POPGATE_BACKENDS_STORE_STORE_H

// Serves until it is killed; argv[0] is the word "store".  Returns the exit
// status: 0 after --help, 1 when it cannot run, 2 when the options are wrong.
int store_run(int argc, char **argv);

#endif
