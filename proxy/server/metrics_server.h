// metrics_server.h: answers `GET /metrics`, in a process of its own.
//
// The supervisor executes popgate once more under the name of METRICS_NAME
// (metrics_process.h), and only that process loads libmicrohttpd, which brings GnuTLS
// and eight libraries more: workers need none of them, and the supervisor, who has every
// right, shall not read what strangers send.  It has the socket, the pages of metrics.h
// to read, and a channel from the supervisor, who says by it what is not counted; no
// files, no other rights.  It ends when the channel does.
//
// A connection is answered once, within ten seconds, and closed.  There are so many
// at a time; for one more the oldest goes, so that who says nothing keeps nobody out.
#ifndef POPGATE_PROXY_SERVER_METRICS_SERVER_H
#define POPGATE_PROXY_SERVER_METRICS_SERVER_H

// What argv[0] is then.
#define METRICS_NAME "popgate-metrics"

// The descriptors that it is started with.
enum { METRICS_SOCKET = 3, METRICS_CHANNEL, METRICS_PAGES, METRICS_DESCRIPTORS };

// What is said over the channel, a packet each: the supervisor sends the descriptor of a
// memfd with the facts as they are now, in Prometheus' format; the process says that it
// serves, or why it cannot.
enum { METRICS_FACTS = 'F', METRICS_READY = 'R', METRICS_WHY = 'W' };

// Serves until the channel ends; returns the exit status.
int metrics_server_run(const char *version);

#endif
