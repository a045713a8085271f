// client_trust.h: whether a client's certificate is to be believed: who may vouch for
// one, and what they have revoked.
//
// One for each listener that asks for client certificates, made with a snapshot from
// the files of its options `client_ca` and `client_crl`; asked during handshakes.  The
// supervisor looks whether the files have changed and sends what is in them to its
// workers (proxy/server/client_trust_watch.h): so what is in force is one sealed memfd,
// as the files were read, and whoever gets it checks it again.
//
// The chain must lead to an authority that vouches for itself and stands in `client_ca`;
// an intermediate one there may complete a chain, but does not end it.  Where there are
// revocation lists, each certificate of the chain is looked up, and what no list in
// force tells about is refused: an expired list means that nobody gets in.  There are
// no look-ups over the network.  How strong keys and signatures must be is up to the
// connection's profile (client_strength.h).
#ifndef POPGATE_CERTS_CLIENT_TRUST_H
#define POPGATE_CERTS_CLIENT_TRUST_H

#include "proxy/net/tls.h"

enum {
	CLIENT_AUTHORITIES_MAX = 100, // all of whose names clients are told in each handshake
	CLIENT_TRUST_ID = 32,
};

struct client_trust;

// Reads the PEM files; crl_path may be empty: nothing is looked up.  NULL with the
// reason, which names the file, in *why when one cannot be read whole, holds something
// that is damaged, an authority that is none or whose own voucher is missing, a list of
// somebody else's or of changes only, or no list of one of the authorities that tells of
// all that it vouches for.  `slot` is the listener's number, for the receiver.
struct client_trust *client_trust_load(
    const char *ca_path, const char *crl_path, uint32_t slot, struct text *why);

// The same from what client_trust_fd gave; takes over fd.
struct client_trust *client_trust_open(int fd, struct text *why);

// NULL is allowed.
void client_trust_free(struct client_trust **trust);

uint32_t client_trust_slot(const struct client_trust *trust);

// For a worker; stays the trust's.
int client_trust_fd(const struct client_trust *trust);

// What it was made from: the same for the same bytes.
struct str client_trust_id(const struct client_trust *trust);

// Names (DER) of the authorities; *out_num is how many.  Borrowed.
const struct str *client_trust_names(const struct client_trust *trust, size_t *out_num);

// False with the reason in *why when one of the lists is not in force at the moment, so
// that clients are refused.
bool client_trust_is_current(const struct client_trust *trust, struct text *why);

// A tls_verify_client_fn; the context is the trust.
tls_verify_client_fn client_trust_verify;

// ---- looking at the files ------------------------------------------------

enum client_trust_news {
	CLIENT_TRUST_SAME,
	CLIENT_TRUST_REPLACED, // *trust is another one now
	CLIENT_TRUST_REFUSED,  // the files have changed and cannot be used; told once
	CLIENT_TRUST_EXPIRED,  // a list of *trust is not in force any more; told once
};

// Looks at the files of one that was loaded.  Changed ones are read once two looks have
// found them the same; what is refused then leaves *trust as it was, with the reason in
// *why, and is read again when it has changed again.  A list that is not in force is
// refused then, but not at first: popgate can start without, and users with it.
enum client_trust_news client_trust_refresh(struct client_trust **trust, struct text *why);

#endif
