// user.h: `popgate user`: keeps the users of users.db.
//
// Called by main.  Runs beside `popgate serve`, whose workers see each change at
// once.  Passwords come from the terminal or standard input, never from the
// command line, which everybody on the machine can read.
#ifndef POPGATE_PROXY_USER_H
#define POPGATE_PROXY_USER_H

// argv[0] is the word "user".  Returns the exit status: 0 done, 1 not, 2 a wrong
// command line.
int user_run(int argc, char **argv, const char *default_config);

#endif
