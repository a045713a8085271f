// fetch.h: sends a question by HTTP and takes the answer, in a program of its own.
//
// Run by the supervisor for OCSP (server/fetcher.h).  libcurl, in Debian's GnuTLS flavour,
// brings two dozen libraries, OpenSSL's libcrypto among them (by way of libssh2 and
// Kerberos).  Linked, they would cost each worker 0.4 MiB, the supervisor 1.3 MiB and each
// start 4 ms, and put a second libcrypto beside BoringSSL's.  So popgate is not linked with
// it: the supervisor executes popgate once more under the name of FETCH_NAME, and only
// that process loads the library.
//
// Not a fork of the supervisor without exec: it would have every private key in its memory
// while it reads what a stranger sends.  Not a program of its own: popgate is one file, and
// an upgrade replaces one file.  Not Debian's curl: that is OpenSSL's flavour.
#ifndef POPGATE_PROXY_NET_FETCH_H
#define POPGATE_PROXY_NET_FETCH_H

// What argv[0] is then; argv[1] is the URL.
#define FETCH_NAME "popgate-fetch"

enum {
	FETCH_QUESTION_MAX = 4096,
	FETCH_ANSWER_MAX = 64 * 1024,
	FETCH_MS = 10 * 1000, // for everything, names and handshakes included
};

// Reads an OCSP request from standard input up to its end, POSTs it to the http or https
// URL, and writes what comes back to standard output: with exit status 0 the answer, with
// 1 why there is none, in words.  No redirection is followed.  Proxies are those of the
// environment.
int fetch_run(const char *url);

#endif
