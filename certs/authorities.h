// authorities.h: the authorities that clients know, as far as a file of them says.
//
// For judging our own chain as a client would; trust.h is for those of backends.
#ifndef POPGATE_CERTS_AUTHORITIES_H
#define POPGATE_CERTS_AUTHORITIES_H

#include "proxy/base/text.h"

struct bundle;
struct x509_st;
struct authorities;

// Those that Debian's ca-certificates collects, which are those of Mozilla.
#define AUTHORITIES_OF_SYSTEM "/etc/ssl/certs/ca-certificates.crt"

// NULL with the reason in *why when the PEM file holds none.
struct authorities *authorities_load(const char *path, struct text *why);
void authorities_free(struct authorities **authorities);

// Which of them has issued the certificate, by its signature too; NULL: none.  It is theirs.
// Where several have, as with an authority that was renewed for the same key, one that is
// valid now goes before; clients refuse one that is not, so callers ask for its time.
struct x509_st *authorities_find_issuer(
    const struct authorities *authorities, struct x509_st *certificate, int64_t now);

// One that is called as the certificate's issuer, whether it is that or not; NULL: none.
struct x509_st *authorities_find_namesake(
    const struct authorities *authorities, const struct x509_st *certificate);

// What verification as a client does it says, but for dates, which others judge:
// X509_V_OK or an error of BoringSSL's, and which certificate it is about.
int authorities_verify(const struct authorities *authorities, struct x509_st *leaf,
    const struct bundle *others, struct x509_st **out_about);

#endif
