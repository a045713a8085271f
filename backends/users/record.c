// record.c: records as bytes.  See record.h.
//
//     flags 1, methods 4 (low byte first), NT hash 16, then four texts, each with
//     its length in one byte before it: password, mailbox, backend, backend's
//     password; zeros up to a multiple of 64
//
// A record that a later popgate writes otherwise will be told from these by the
// version that seal.c puts before it.
#include "backends/users/record.h"

#include <stdlib.h>

#include "proxy/base/die.h"

enum { PADDING = 64, HEAD = 1 + 4 + USER_NT_HASH };
enum flag { FLAG_enabled = 1, FLAG_nt_hash = 2, FLAG_password = 4, FLAG_backend_password = 8 };

_Static_assert(HEAD + 3 * (1 + USER_TEXT_MAX) + 1 + USER_BACKEND_MAX <= USER_RECORD_MAX, "fits");
_Static_assert(USER_RECORD_MAX % PADDING == 0, "the longest is padded too");

static unsigned flags_of(const struct user_record *record)
{
	return (record->enabled ? FLAG_enabled : 0u) | (record->has_nt_hash ? FLAG_nt_hash : 0u) |
	       (record->password.at ? FLAG_password : 0u) |
	       (record->backend_password.at ? FLAG_backend_password : 0u);
}

static uint8_t *add_text(uint8_t *at, struct str s, size_t max)
{
	BUG_ON(s.len > max);
	*at++ = (uint8_t)s.len;
	if (s.len)
		memcpy(at, s.at, s.len);
	return at + s.len;
}

size_t user_record_encode(const struct user_record *record, uint8_t out[USER_RECORD_MAX])
{
	uint8_t *at = out;
	memset(out, 0, USER_RECORD_MAX);
	*at++ = (uint8_t)flags_of(record);
	for (unsigned shift = 0; shift < 32; shift += 8)
		*at++ = (uint8_t)(record->methods >> shift);
	memcpy(at, record->nt_hash, USER_NT_HASH);
	at = add_text(at + USER_NT_HASH, secret_reveal(&record->password), USER_TEXT_MAX);
	at = add_text(at, str_of(record->mailbox), USER_TEXT_MAX);
	at = add_text(at, str_of(record->backend), USER_BACKEND_MAX);
	at = add_text(at, secret_reveal(&record->backend_password), USER_TEXT_MAX);
	size_t len = (size_t)(at - out);
	return (len + PADDING - 1) / PADDING * PADDING;
}

// Takes a text off the bytes; false when they end before it does.
static bool take_text(struct str *bytes, size_t max, struct str *out)
{
	size_t len = bytes->len ? (uint8_t)bytes->at[0] : 0;
	if (len >= bytes->len || len > max)
		return false;
	*out = str_take(str_drop(*bytes, 1), len);
	*bytes = str_drop(*bytes, 1 + len);
	return true;
}

static char *text_or_null(struct str s)
{
	return s.len ? str_dup(s) : NULL;
}

static void take_head(const uint8_t *at, struct user_record *out)
{
	out->enabled = at[0] & FLAG_enabled;
	out->has_nt_hash = at[0] & FLAG_nt_hash;
	for (unsigned i = 0; i < 4; i++)
		out->methods |= (unsigned)at[1 + i] << 8 * i;
	memcpy(out->nt_hash, at + 5, USER_NT_HASH);
}

bool user_record_decode(struct str bytes, struct user_record *out)
{
	*out = (struct user_record){.enabled = false};
	struct str rest = str_drop(bytes, HEAD), password, mailbox, backend, backend_password;
	if (bytes.len < HEAD || !take_text(&rest, USER_TEXT_MAX, &password) ||
	    !take_text(&rest, USER_TEXT_MAX, &mailbox) ||
	    !take_text(&rest, USER_BACKEND_MAX, &backend) ||
	    !take_text(&rest, USER_TEXT_MAX, &backend_password))
		return false;
	take_head((const uint8_t *)bytes.at, out);
	out->mailbox = text_or_null(mailbox);
	out->backend = text_or_null(backend);
	if (bytes.at[0] & FLAG_password)
		secret_set(&out->password, password);
	if (bytes.at[0] & FLAG_backend_password)
		secret_set(&out->backend_password, backend_password);
	return true;
}

void user_record_done(struct user_record *record)
{
	secret_done(&record->password);
	secret_done(&record->backend_password);
	free(record->mailbox);
	free(record->backend);
	explicit_bzero(record, sizeof(*record));
}
