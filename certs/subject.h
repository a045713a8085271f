// subject.h: what one certificate says, for people and for decisions.
//
// Inside certs/.  Texts from certificates are hostile: what is printed has no
// control character and no byte beyond ASCII but UTF-8 of names.
#ifndef POPGATE_CERTS_SUBJECT_H
#define POPGATE_CERTS_SUBJECT_H

#include "proxy/base/text.h"

struct x509_st;
struct X509_name_st;
struct evp_pkey_st;
struct stack_st_GENERAL_NAME;
struct asn1_string_st;

// Reads DER; what follows the certificate is passed over.  The caller's, for X509_free;
// NULL when it is damaged.
struct x509_st *subject_parse(struct str der);

// The same where nothing may follow, as in TLS.
struct x509_st *subject_parse_whole(struct str der);

// Seconds since 1970; far in the past when the time is damaged.
int64_t subject_time(const struct asn1_string_st *time);

// "2027-02-19 12:00:00 UTC".
void subject_print_time(int64_t time, struct text *out);

// As RFC 4514 writes it, "(no name)" when it is empty; "..." ends what has no room.
void subject_print_name(const struct X509_name_st *name, struct text *out);

// All alternative names that clients compare, separated by ", ".
void subject_print_names(const struct stack_st_GENERAL_NAME *names, struct text *out);

// "P-256", "RSA 2048 bits".
void subject_print_key(const struct evp_pkey_st *key, struct text *out);

// Where the issuer's certificate may be had (RFC 5280 section 4.2.2.1); nothing when
// it does not say.
void subject_print_issuer_url(const struct x509_st *certificate, struct text *out);

// Whether now, in seconds since 1970, is within its time.
bool subject_is_valid(const struct x509_st *certificate, int64_t now);

// Its subject is its issuer, and its own key has signed it.
bool subject_is_self_signed(struct x509_st *certificate);

// Whether it may issue certificates (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
bool subject_is_authority(struct x509_st *certificate);

// Whether the issuer's key has signed the certificate, and the issuer may do so.
bool subject_is_issued_by(struct x509_st *certificate, struct x509_st *issuer);

// Whether it says that no client shall take it without an OCSP response (status_request
// among its TLS features, RFC 7633).
bool subject_wants_staple(const struct x509_st *certificate);

// Whether a client that dialled `name`, a host name or an address, takes the
// certificate for that: by its alternative names alone (RFC 9525 section 6).
bool subject_has_name(struct x509_st *certificate, struct str name);

#endif
