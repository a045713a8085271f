// revocation_list.h: what a revocation list tells of.
//
// Inside certs/; pure.  An authority may publish lists of less than everything: what has
// changed since another list, or some of its certificates only (RFC 5280 section 5.2).
// BoringSSL looks at that when it judges a certificate, and what no list tells about is
// refused; here it is said when a list is read.
#ifndef POPGATE_CERTS_REVOCATION_LIST_H
#define POPGATE_CERTS_REVOCATION_LIST_H

#include <stdbool.h>

struct X509_crl_st;
struct x509_st;

// Whether it has only what has changed since another one (RFC 5280 section 5.2.4).
bool revocation_list_is_delta(const struct X509_crl_st *list);

// Whether a list of its issuer tells of this authority's certificate; of users'
// certificates with NULL.  Where those must name the place of the list, too, they are
// taken to do so.
bool revocation_list_tells_of(const struct X509_crl_st *list, const struct x509_st *authority);

#endif
