// tls_hello.c: see tls_hello.h.
#include "proxy/net/tls_hello.h"

enum { HANDSHAKE = 22, VERSION_MAJOR = 3, CLIENT_HELLO = 1 };

// Moves what is still missing of a header from the bytes to it; true when it is whole.
static bool gather(uint8_t *header, size_t size, uint8_t *len, struct str *bytes)
{
	struct str piece = str_take(*bytes, size - *len);
	if (piece.len)
		memcpy(header + *len, piece.at, piece.len);
	*len += (uint8_t)piece.len;
	*bytes = str_drop(*bytes, piece.len);
	return *len == size;
}

static enum tls_hello_result begin_record(struct tls_hello *hello)
{
	const uint8_t *header = hello->header;
	hello->header_len = 0;
	hello->record_left = (uint32_t)header[3] << 8 | header[4];
	if (header[0] != HANDSHAKE || header[1] != VERSION_MAJOR || !hello->record_left)
		return TLS_HELLO_WHOLE;
	return hello->record_left > TLS_HELLO_MAX ? TLS_HELLO_TOO_LARGE : TLS_HELLO_PARTIAL;
}

static enum tls_hello_result begin_message(struct tls_hello *hello)
{
	const uint8_t *prefix = hello->prefix;
	hello->message_left = (uint32_t)prefix[1] << 16 | (uint32_t)prefix[2] << 8 | prefix[3];
	if (prefix[0] != CLIENT_HELLO)
		return TLS_HELLO_WHOLE;
	return hello->message_left > TLS_HELLO_MAX ? TLS_HELLO_TOO_LARGE : TLS_HELLO_PARTIAL;
}

static enum tls_hello_result take_content(struct tls_hello *hello, struct str content)
{
	hello->record_left -= (uint32_t)content.len;
	if (hello->prefix_len < sizeof(hello->prefix)) {
		if (!gather(hello->prefix, sizeof(hello->prefix), &hello->prefix_len, &content))
			return TLS_HELLO_PARTIAL;
		enum tls_hello_result result = begin_message(hello);
		if (result != TLS_HELLO_PARTIAL)
			return result;
	}
	if (content.len >= hello->message_left)
		return TLS_HELLO_WHOLE;
	hello->message_left -= (uint32_t)content.len;
	return TLS_HELLO_PARTIAL;
}

// Takes a piece of a record off the bytes.
static enum tls_hello_result take_piece(struct tls_hello *hello, struct str *bytes)
{
	if (!hello->record_left) {
		bool whole =
		    gather(hello->header, sizeof(hello->header), &hello->header_len, bytes);
		return whole ? begin_record(hello) : TLS_HELLO_PARTIAL;
	}
	struct str content = str_take(*bytes, hello->record_left);
	*bytes = str_drop(*bytes, content.len);
	return take_content(hello, content);
}

enum tls_hello_result tls_hello_take(struct tls_hello *hello, struct str bytes)
{
	enum tls_hello_result result = TLS_HELLO_PARTIAL;
	size_t len = bytes.len;
	while (result == TLS_HELLO_PARTIAL && bytes.len)
		result = take_piece(hello, &bytes);
	hello->num_seen += (uint32_t)(len - bytes.len);
	return hello->num_seen > TLS_HELLO_MAX ? TLS_HELLO_TOO_LARGE : result;
}
