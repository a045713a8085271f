// end_point.h: the hash by which a client binds its login to our certificate: the
// channel binding tls-server-end-point (RFC 5929 section 4).
//
// Pure.  Computed once, when a certificate is loaded; NTLM compares it.
#ifndef POPGATE_CERTS_END_POINT_H
#define POPGATE_CERTS_END_POINT_H

#include "proxy/base/str.h"

struct x509_st;

enum { END_POINT_MAX = 64 };

// The hash function of a certificate's signature, as BoringSSL's NID_...; NID_undef when
// it knows none.  Of RSA-PSS it stands in the signature's parameters (RFC 4055 section
// 3.1).
int end_point_hash_nid(const struct x509_st *certificate);

// The hash of a certificate (DER) by the hash function of its own signature; by
// SHA-256 where that is MD5 or SHA-1.  Returns its length.
//
// 0 when the certificate is damaged, and when its signature knows no hash function:
// of Ed25519 (RFC 8410) RFC 5929 leaves the binding undefined.  OpenSSL's users
// (curl, PostgreSQL) make none there, GnuTLS takes SHA-512, and Windows does not do
// Ed25519; so there is none that all could agree on.
size_t end_point_hash(struct str der, uint8_t out[END_POINT_MAX]);

#endif
