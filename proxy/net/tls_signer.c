// tls_signer.c: handshakes whose signature somebody else makes.  See tls_priv.h.
//
// BoringSSL asks once, is told to wait, and asks again when the stream goes on, which it
// does when the answer is there: the signature goes from where it was read to where
// BoringSSL wants it.
#include "proxy/net/tls_priv.h"

#include <stddef.h>
#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/net/signer.h"

struct question {
	struct signing signing;
	struct tls *tls;
};

static void on_done(struct signing *signing)
{
	struct question *question = (void *)signing;
	struct tls *tls = question->tls;
	tls->question = NULL;
	tls->answer = signing;
	stream_go_on(tls->stream);
	tls->answer = NULL;
	free(question);
}

static enum ssl_private_key_result_t sign(SSL *ssl, uint8_t *out, size_t *out_len, size_t most,
    uint16_t algorithm, const uint8_t *in, size_t in_len)
{
	struct tls *tls = tls_of(ssl);
	const struct tls_certificate *certificate = tls->certificate;
	struct str text = {(const char *)in, in_len};
	struct question *question = xcalloc(1, sizeof(*question));
	(void)out;
	(void)out_len;
	(void)most;
	question->signing.on_done = on_done;
	question->tls = tls;
	tls->question = question;
	if (signer_start(
	        certificate->signer, &question->signing, certificate->slot, algorithm, text))
		return ssl_private_key_retry;
	tls_signer_cancel(tls);
	tls->error = "what is to be signed is not known";
	return ssl_private_key_failure;
}

static enum ssl_private_key_result_t complete(SSL *ssl, uint8_t *out, size_t *out_len, size_t most)
{
	struct tls *tls = tls_of(ssl);
	const struct signing *answer = tls->answer;
	if (!answer)
		return ssl_private_key_retry;
	tls->error = answer->problem;
	if (answer->problem || answer->signature.len > most)
		return ssl_private_key_failure;
	memcpy(out, answer->signature.at, answer->signature.len);
	*out_len = answer->signature.len;
	return ssl_private_key_success;
}

// No suite of ours has the client encrypt to our key.
static enum ssl_private_key_result_t decrypt(
    SSL *ssl, uint8_t *out, size_t *out_len, size_t most, const uint8_t *in, size_t in_len)
{
	(void)ssl;
	(void)out;
	(void)out_len;
	(void)most;
	(void)in;
	(void)in_len;
	return ssl_private_key_failure;
}

const SSL_PRIVATE_KEY_METHOD tls_signer_method = {
    .sign = sign,
    .decrypt = decrypt,
    .complete = complete,
};

void tls_signer_cancel(struct tls *tls)
{
	if (!tls->question)
		return;
	signer_cancel(tls->certificate->signer, &tls->question->signing);
	free(tls->question);
	tls->question = NULL;
}
