// tls_hello.c: see tls_hello.h.
#include "proxy/net/tls_hello.h"

enum { CHANGE_CIPHER_SPEC = 20, HANDSHAKE = 22, DATA = 23 };
enum { VERSION_MAJOR = 3, CLIENT_HELLO = 1 };

// Appends to a header; true when it is whole.
static bool gather(uint8_t *header, size_t size, uint8_t *len, struct str piece)
{
	if (piece.len)
		memcpy(header + *len, piece.at, piece.len);
	*len += (uint8_t)piece.len;
	return *len == size;
}

// BoringSSL does so with warnings, ChangeCipherSpec in TLS 1.3, early data that it has
// refused, and nothing; what begins with another kind is no record.
static bool is_passed_over(const struct tls_hello *hello)
{
	uint8_t kind = hello->header[0];
	return hello->passes_others && kind >= CHANGE_CIPHER_SPEC && kind <= DATA;
}

static enum tls_hello_result begin_record(struct tls_hello *hello)
{
	const uint8_t *header = hello->header;
	hello->header_len = 0;
	hello->record_left = (uint32_t)header[3] << 8 | header[4];
	hello->is_other = header[0] != HANDSHAKE;
	if (hello->is_other || header[1] != VERSION_MAJOR || !hello->record_left)
		return is_passed_over(hello) ? TLS_HELLO_PARTIAL : TLS_HELLO_WHOLE;
	return hello->record_left > TLS_HELLO_MAX ? TLS_HELLO_TOO_LARGE : TLS_HELLO_PARTIAL;
}

static enum tls_hello_result begin_message(struct tls_hello *hello)
{
	const uint8_t *prefix = hello->prefix;
	hello->message_left = (uint32_t)prefix[1] << 16 | (uint32_t)prefix[2] << 8 | prefix[3];
	if (prefix[0] != CLIENT_HELLO)
		return TLS_HELLO_WHOLE;
	if (hello->message_left > TLS_HELLO_MAX)
		return TLS_HELLO_TOO_LARGE;
	return hello->message_left ? TLS_HELLO_PARTIAL : TLS_HELLO_WHOLE;
}

static bool is_in_prefix(const struct tls_hello *hello)
{
	return hello->prefix_len < sizeof(hello->prefix);
}

// How many bytes what comes next still lacks.
static size_t lacking(const struct tls_hello *hello)
{
	if (!hello->record_left)
		return sizeof(hello->header) - hello->header_len;
	if (hello->is_other)
		return hello->record_left;
	size_t lacking =
	    is_in_prefix(hello) ? sizeof(hello->prefix) - hello->prefix_len : hello->message_left;
	return lacking < hello->record_left ? lacking : hello->record_left;
}

static enum tls_hello_result take_piece(struct tls_hello *hello, struct str piece)
{
	hello->num_seen += (uint32_t)piece.len;
	if (!hello->record_left) {
		bool whole =
		    gather(hello->header, sizeof(hello->header), &hello->header_len, piece);
		return whole ? begin_record(hello) : TLS_HELLO_PARTIAL;
	}
	hello->record_left -= (uint32_t)piece.len;
	if (hello->is_other)
		return TLS_HELLO_PARTIAL;
	if (is_in_prefix(hello)) {
		bool whole =
		    gather(hello->prefix, sizeof(hello->prefix), &hello->prefix_len, piece);
		return whole ? begin_message(hello) : TLS_HELLO_PARTIAL;
	}
	hello->message_left -= (uint32_t)piece.len;
	return hello->message_left ? TLS_HELLO_PARTIAL : TLS_HELLO_WHOLE;
}

enum tls_hello_result tls_hello_take(struct tls_hello *hello, struct str bytes)
{
	enum tls_hello_result result = TLS_HELLO_PARTIAL;
	while (result == TLS_HELLO_PARTIAL && bytes.len) {
		struct str piece = str_take(bytes, lacking(hello));
		bytes = str_drop(bytes, piece.len);
		result = take_piece(hello, piece);
		if (hello->num_seen > TLS_HELLO_MAX)
			return TLS_HELLO_TOO_LARGE;
	}
	return result;
}
