// chain.h: in which order certificates vouch for each other: the leaf, its issuer, the
// issuer's issuer, as TLS wants them (RFC 8446 section 4.4.2, RFC 5246 section
// 7.4.2).
//
// Asks nothing but the authorities given.  Nothing is owned: a chain points into its bundle.
#ifndef POPGATE_CERTS_CHAIN_H
#define POPGATE_CERTS_CHAIN_H

#include "certs/bundle.h"
#include "proxy/net/tls.h"

struct chain {
	struct x509_st *at[TLS_CHAIN_MAX]; // leaf first
	size_t num;
	struct x509_st *root; // the self-signed end, which clients have; NULL: not there
};

// Which certificate of the bundle is the key's; their number when none is.
size_t chain_find_leaf(const struct bundle *bundle, const struct evp_pkey_st *key);

// The longest chain from this leaf that the bundle has, up to TLS_CHAIN_MAX.  A leaf
// that is self-signed stands alone.
void chain_build(const struct bundle *bundle, struct x509_st *leaf, struct chain *out);

// Whom clients know; nobody where it is NULL.
struct authorities;

// A chain from this leaf, valid now but for the leaf itself, that clients believe: whose last
// one a known authority that is valid too has issued, or one in the bundle that vouches for itself.
// It goes on for as long as that leads there: what is put beside for older clients, who know
// another authority, is passed over where nobody knows that.  False when there is no such chain.
__attribute__((warn_unused_result)) bool chain_find(const struct bundle *bundle,
    struct x509_st *leaf, const struct authorities *authorities, int64_t now, struct chain *out);

// Whether the same certificate stands in the chain; the root does not, which clients have.
bool chain_shows(const struct chain *chain, struct x509_st *certificate);

// Whether it stands there, or is its root.
bool chain_has(const struct chain *chain, struct x509_st *certificate);

#endif
