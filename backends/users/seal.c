// seal.c: AES-256-GCM.  See seal.h.
//
// Nonces are random: 2^32 records may be closed with one key before two of the
// same become likely enough to matter (NIST SP 800-38D section 8.3).
#include "backends/users/seal.h"

#include <openssl/aead.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "proxy/base/die.h"

enum { VERSION = 1, NONCE = 12, TAG = 16 };
_Static_assert(SEAL_OVERHEAD == 1 + NONCE + TAG, "as seal.h says");

struct seal {
	EVP_AEAD_CTX aead;
};

struct seal *seal_new(const uint8_t key[USERS_KEY_SIZE])
{
	struct seal *seal = xcalloc(1, sizeof(*seal));
	int made =
	    EVP_AEAD_CTX_init(&seal->aead, EVP_aead_aes_256_gcm(), key, USERS_KEY_SIZE, TAG, NULL);
	BUG_ON(!made);
	return seal;
}

static const uint8_t *bytes_of(struct str s)
{
	return (const uint8_t *)s.at;
}

size_t seal_close(const struct seal *seal, struct str name, struct str plain, uint8_t *out)
{
	size_t len;
	uint8_t *nonce = out + 1, *closed = nonce + NONCE;
	*out = VERSION;
	RAND_bytes(nonce, NONCE);
	int done = EVP_AEAD_CTX_seal(&seal->aead, closed, &len, plain.len + TAG, nonce, NONCE,
	    bytes_of(plain), plain.len, bytes_of(name), name.len);
	BUG_ON(!done);
	return 1 + NONCE + len;
}

bool seal_open(
    const struct seal *seal, struct str name, struct str sealed, uint8_t *out, size_t *out_len)
{
	const uint8_t *nonce = bytes_of(sealed) + 1, *closed = nonce + NONCE;
	return sealed.len >= SEAL_OVERHEAD && sealed.at[0] == VERSION &&
	       EVP_AEAD_CTX_open(&seal->aead, out, out_len, sealed.len, nonce, NONCE, closed,
	           sealed.len - 1 - NONCE, bytes_of(name), name.len);
}

void seal_free(struct seal **seal)
{
	if (!*seal)
		return;
	EVP_AEAD_CTX_cleanup(&(*seal)->aead);
	explicit_bzero(*seal, sizeof(**seal));
	free(*seal);
	*seal = NULL;
}
