// private_key.h: the private key of a certificate: made, read, written.
//
// Called by `popgate cert`, and for what is served.  Keys are BoringSSL's EVP_PKEY, which wipes
// itself; who gets one frees it with private_key_free.  Nothing here prints a key.
#ifndef POPGATE_CERTS_PRIVATE_KEY_H
#define POPGATE_CERTS_PRIVATE_KEY_H

#include <sys/stat.h>

#include "proxy/base/buf.h"
#include "proxy/base/text.h"

struct evp_pkey_st;

#define KEY_TYPE(name, ...) KEY_TYPE_##name,
enum key_type {
#include "certs/key_types.def"
	KEY_TYPES
};
#undef KEY_TYPE

// RSA keys of fewer bits are nowhere taken any more (NIST SP 800-131A).
enum { RSA_BITS_MIN = 2048 };

// Reads the word of key_types.def.  False with the reason in *why.
bool key_type_find(struct str word, enum key_type *out, struct text *why);

// A fresh key; the larger ones of RSA take some seconds.
struct evp_pkey_st *private_key_make(enum key_type type);

// Of a file in PEM or DER form without a passphrase.  NULL with the reason in *why.
struct evp_pkey_st *private_key_load(const char *path, struct text *why);

// The same of an open file; the path is for messages.
struct evp_pkey_st *private_key_load_descriptor(int fd, const char *path, struct text *why);

// Whether everybody on this machine may read or write the file; its permissions then
// stand in *out_mode.  A group is the administrator's choice.
bool private_key_is_exposed(const char *path, mode_t *out_mode);

// Whether everybody on this machine may put another file in the place of this one, since a
// folder on the way to it may be written by all and is not sticky; it is then added to
// *out_folder.  Of a symbolic link, the way to the link and the way to the file count.
bool private_key_is_replaceable(const char *path, struct text *out_folder);

// Appends the key in PEM form (PKCS #8, RFC 5958); the buffer wipes itself.
void private_key_print(const struct evp_pkey_st *key, struct buf *out);

void private_key_free(struct evp_pkey_st **key);

#endif
