// parcel.c: packing and unpacking certificates.  See parcel.h.
//
//     magic, index, slot            4 bytes each
//     chain                         3 bytes of length, and so each certificate in it
//     private key, OCSP response    3 bytes of length each
//
// The slot is of a signer; then there is no private key.
#include "certs/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pool.h>

#include "certs/load.h"
#include "proxy/base/die.h"
#include "proxy/base/file.h"

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static const uint32_t magic = 0x70676331; // "pgc1"

// ---- packing ------------------------------------------------------------

static bool add(CBB *out, struct str bytes)
{
	CBB piece;
	return CBB_add_u24_length_prefixed(out, &piece) &&
	       CBB_add_bytes(&piece, (const uint8_t *)bytes.at, bytes.len) && CBB_flush(out);
}

static bool add_chain(CBB *out, const struct tls_certificate_options *contents)
{
	CBB chain;
	bool good = CBB_add_u24_length_prefixed(out, &chain);
	for (size_t i = 0; good && i < contents->num_chain; i++) {
		const CRYPTO_BUFFER *each = contents->chain[i];
		good = add(&chain,
		    (struct str){(const char *)CRYPTO_BUFFER_data(each), CRYPTO_BUFFER_len(each)});
	}
	return good && CBB_flush(out);
}

static bool add_key(CBB *out, const struct tls_certificate_options *contents)
{
	CBB piece;
	return CBB_add_u24_length_prefixed(out, &piece) &&
	       (contents->signer || EVP_marshal_private_key(&piece, contents->key)) &&
	       CBB_flush(out);
}

// BoringSSL wipes what it frees.
static void pack(uint32_t index, const struct tls_certificate_options *contents, CBB *out)
{
	BUG_ON(!CBB_init(out, 0) || !CBB_add_u32(out, magic) || !CBB_add_u32(out, index) ||
	       !CBB_add_u32(out, contents->slot) || !add_chain(out, contents) ||
	       !add_key(out, contents) || !add(out, contents->staple));
}

int parcel_make(uint32_t index, const struct tls_certificate *certificate, struct text *why)
{
	CBB packed;
	struct tls_certificate_options contents = tls_certificate_contents(certificate);
	pack(index, &contents, &packed);
	struct str bytes = {(const char *)CBB_data(&packed), CBB_len(&packed)};
	int fd = memfd_create("popgate-certificate", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool made =
	    fd >= 0 && file_write(fd, bytes) && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | SEALS) == 0;
	if (!made)
		text_addf(why, "cannot make memory to hand a certificate on: %s", strerror(errno));
	CBB_cleanup(&packed);
	if (made || fd < 0)
		return fd;
	close(fd);
	return -1;
}

// ---- unpacking ----------------------------------------------------------

static bool take_chain(CBS *chain, struct pair *pair)
{
	CBS each;
	while (CBS_len(chain)) {
		if (pair->num_chain == TLS_CHAIN_MAX || !CBS_get_u24_length_prefixed(chain, &each))
			return false;
		pair->chain[pair->num_chain] = CRYPTO_BUFFER_new_from_CBS(&each, NULL);
		BUG_ON(!pair->chain[pair->num_chain]);
		pair->num_chain++;
	}
	return pair->num_chain;
}

static bool take_key(CBS *key, struct pair *pair)
{
	pair->key = EVP_parse_private_key(key);
	ERR_clear_error();
	return pair->key && !CBS_len(key);
}

// Into a pair that the caller lets go in either case; the staple points into the bytes.
static bool unpack(CBS bytes, struct signer *signer, uint32_t *out_index, struct pair *pair,
    struct str *out_staple)
{
	CBS chain, key, staple;
	uint32_t said, slot;
	if (!CBS_get_u32(&bytes, &said) || said != magic || !CBS_get_u32(&bytes, out_index) ||
	    !CBS_get_u32(&bytes, &slot) || !CBS_get_u24_length_prefixed(&bytes, &chain) ||
	    !CBS_get_u24_length_prefixed(&bytes, &key) ||
	    !CBS_get_u24_length_prefixed(&bytes, &staple) || CBS_len(&bytes) ||
	    !take_chain(&chain, pair))
		return false;
	*out_staple = (struct str){(const char *)CBS_data(&staple), CBS_len(&staple)};
	return signer && !CBS_len(&key) ? pair_use_signer(pair, signer, slot)
	                                : take_key(&key, pair);
}

static struct tls_certificate *open_bytes(
    const uint8_t *at, size_t size, struct signer *signer, uint32_t *out_index, struct text *why)
{
	CBS bytes;
	struct pair pair = {.num_chain = 0};
	struct str staple;
	struct tls_certificate *certificate = NULL;
	CBS_init(&bytes, at, size);
	if (unpack(bytes, signer, out_index, &pair, &staple))
		certificate = certs_make(&pair, staple, why);
	else
		text_add(why, STR("what came is no certificate"));
	pair_done(&pair);
	return certificate;
}

// By lseek(2), since a worker's filter has no fstat(2).
struct tls_certificate *parcel_open(
    int fd, struct signer *signer, uint32_t *out_index, struct text *why)
{
	int seals = fcntl(fd, F_GET_SEALS);
	off_t size = lseek(fd, 0, SEEK_END);
	struct tls_certificate *certificate = NULL;
	uint8_t *at = MAP_FAILED;
	if (seals < 0 || (seals & SEALS) != SEALS || size <= 0)
		text_add(why, STR("what came is no certificate"));
	else if ((at = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		text_addf(why, "cannot map a certificate: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (at == MAP_FAILED)
		return NULL;
	certificate = open_bytes(at, (size_t)size, signer, out_index, why);
	munmap(at, (size_t)size);
	return certificate;
}
