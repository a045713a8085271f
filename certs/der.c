// der.c: what a file in DER form is.  See der.h.
#include "certs/der.h"

#include <openssl/bytestring.h>

static bool open_sequence(struct str bytes, CBS *out)
{
	CBS cbs;
	CBS_init(&cbs, (const uint8_t *)bytes.at, bytes.len);
	return CBS_get_asn1(&cbs, out, CBS_ASN1_SEQUENCE);
}

// It begins with its version, 3.
bool der_is_pkcs12(struct str bytes)
{
	CBS content;
	uint64_t version;
	return open_sequence(bytes, &content) && CBS_get_asn1_uint64(&content, &version) &&
	       version == 3;
}

// How it is encrypted, and the octets; a certificate goes on with a sequence there.
bool der_is_encrypted_key(struct str bytes)
{
	CBS content, algorithm;
	return open_sequence(bytes, &content) &&
	       CBS_get_asn1(&content, &algorithm, CBS_ASN1_SEQUENCE) &&
	       CBS_peek_asn1_tag(&algorithm, CBS_ASN1_OBJECT) &&
	       CBS_peek_asn1_tag(&content, CBS_ASN1_OCTETSTRING);
}
