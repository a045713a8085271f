// name_server.h: a name server on the test's own loop, by UDP and TCP on one
// port of loopback, that says what the test makes it say.
//
// For what no real server does when asked: silence, nonsense, other ids, other
// questions.  It lies on the loop until it is closed.
#ifndef POPGATE_TESTS_KIT_NAME_SERVER_H
#define POPGATE_TESTS_KIT_NAME_SERVER_H

#include "proxy/net/listen.h"
#include "proxy/net/stream.h"
#include "proxy/net/watch.h"
#include "tests/kit/dns.h"

enum { NAME_SERVER_VISITS = 16 };

struct name_server {
	struct addr addr; // where it is
	void (*on_query)(struct name_server *server, struct str query);
	void *context;
	unsigned heard; // queries so far
	bool is_tcp;    // the query came by TCP
	struct addr peer;

	struct net *net;
	struct watch watch;
	int udp;
	struct listen listen;
	struct stream *stream; // the query's
	struct stream visits[NAME_SERVER_VISITS];
	unsigned num_visits;
};

// on_query and context are filled in by the caller.
void name_server_open(struct name_server *server, struct net *net);

// Within on_query: sends an answer, or one of several.
void name_server_send(struct name_server *server, const struct dns_message *message);

void name_server_close(struct name_server *server);

#endif
