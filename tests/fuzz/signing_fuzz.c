// signing_fuzz.c: what a worker that was taken over sends to the process with the
// private keys.
//
// Whatever it is: frames lie within the packet and use up exactly their own bytes, put
// together again they are the packet, and what may be signed is what TLS signs.
#include <string.h>

#include "proxy/net/signing.h"
#include "tests/fuzz/fuzz.h"

static void check_text(const struct signing_frame *frame)
{
	if (!signing_is_tls(frame->head.algorithm, frame->bytes))
		return;
	MUST(frame->bytes.len > 64 && frame->bytes.len <= SIGNING_TEXT_MAX);
	bool is_padded = memchr(frame->bytes.at, ' ', 1) && frame->bytes.at[64] == 'T';
	MUST(is_padded || frame->bytes.at[64] == 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char again[1 << 20];
	struct str packet = {(const char *)data, size};
	struct signing_frame frame;
	size_t len = 0;
	while (len < sizeof(again) / 2 && signing_take(&packet, SIGNING_TEXT_MAX, &frame)) {
		MUST(frame.bytes.len <= SIGNING_TEXT_MAX);
		MUST((const uint8_t *)frame.bytes.at >= data &&
		     (const uint8_t *)frame.bytes.at + frame.bytes.len <= data + size);
		check_text(&frame);
		len = signing_add(again, len, &frame.head, frame.bytes);
		MUST(len + packet.len == size && !memcmp(again, data, len));
	}
	return 0;
}
