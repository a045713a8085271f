// cert.h: a TLS server's context with a fresh key and a self-signed
// certificate, in memory.
#ifndef POPGATE_TESTS_KIT_CERT_H
#define POPGATE_TESTS_KIT_CERT_H

#include "proxy/net/tls.h"

// Without an end point.  They fail the test when BoringSSL does not like it.
struct tls_certificate *cert_certificate(void);
struct tls_server *cert_server(void);

#endif
