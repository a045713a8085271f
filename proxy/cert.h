// cert.h: `popgate cert`: a certificate's life, from the request to its renewal.
//
// Called by main.  Runs beside `popgate serve`, which takes an installed pair by
// itself.  Nothing of a private key is ever printed.
#ifndef POPGATE_PROXY_CERT_H
#define POPGATE_PROXY_CERT_H

// argv[0] is the word "cert".  Returns the exit status: 0 done, 1 not, or something
// was found that clients complain of; 2 a wrong command line.
int cert_run(int argc, char **argv, const char *default_config);

#endif
