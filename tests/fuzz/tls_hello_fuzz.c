// tls_hello_fuzz.c: the beginning of a connection, which should be a ClientHello.
//
// However it is split, the answer is the same, and comes with the same byte; there is
// one before more than TLS_HELLO_MAX has come.  So it is where other records are passed
// over too, and no answer comes earlier by that.
#include "proxy/net/tls_hello.h"
#include "tests/fuzz/fuzz.h"

static enum tls_hello_result take_by(
    struct str in, bool passes_others, size_t step, size_t *out_used)
{
	struct tls_hello hello = {.passes_others = passes_others};
	enum tls_hello_result result = TLS_HELLO_PARTIAL;
	for (*out_used = 0; result == TLS_HELLO_PARTIAL && *out_used < in.len;) {
		struct str piece = str_take(str_drop(in, *out_used), step);
		result = tls_hello_take(&hello, piece);
		*out_used += piece.len;
	}
	return result;
}

// How much was read up to the answer.
static size_t look_at(struct str in, bool passes_others)
{
	size_t used, used_else;
	enum tls_hello_result result = take_by(in, passes_others, 1, &used);
	MUST(result != TLS_HELLO_PARTIAL || in.len <= TLS_HELLO_MAX);
	MUST(used <= TLS_HELLO_MAX + 1);
	for (size_t step = 2; step < 12; step++) {
		MUST(take_by(in, passes_others, step, &used_else) == result);
		MUST(used_else >= used && used_else < used + step);
	}
	if (in.len)
		MUST(take_by(in, passes_others, in.len, &used_else) == result);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	MUST(look_at(in, true) >= look_at(in, false));
	return 0;
}
