// pem.c: before and after BoringSSL.  See pem.h.
#include "certs/pem.h"

#include <openssl/pem.h>

#include "certs/input.h"
#include "proxy/base/die.h"

struct str pem_skip_mark(struct str bytes)
{
	const struct str mark = STR("\xef\xbb\xbf");
	return str_eq(str_take(bytes, mark.len), mark) ? str_drop(bytes, mark.len) : bytes;
}

void pem_take(struct bio_st *bio, struct buf *out)
{
	const uint8_t *at;
	size_t len;
	BUG_ON(!BIO_mem_contents(bio, &at, &len));
	BUG_ON(!buf_add(out, (struct str){(const char *)at, len}, INPUT_MAX));
	BIO_free(bio);
}
