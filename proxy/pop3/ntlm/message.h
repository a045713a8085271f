// message.h: the three messages of NTLM, taken apart and put together ([MS-NLMP]
// section 2.2.1).
//
// Pure.  Slices of a parsed message borrow from it.  Parsing is strict about where
// things lie and free about their order: payloads may stand in any order with gaps
// between them, behind the header; one without bytes may claim to be anywhere.
// Names are left as they are (unicode.h).  Every *why is static.
#ifndef POPGATE_PROXY_POP3_NTLM_MESSAGE_H
#define POPGATE_PROXY_POP3_NTLM_MESSAGE_H

#include "proxy/base/text.h"
#include "proxy/pop3/ntlm/crypto.h"
#include "proxy/pop3/ntlm/exchange.h"

// NegotiateFlags (section 2.2.2.5), those that matter here.
enum ntlm_flag {
	NTLM_UNICODE = 0x1,
	NTLM_OEM = 0x2,
	NTLM_REQUEST_TARGET = 0x4,
	NTLM_SIGN = 0x10,
	NTLM_SEAL = 0x20,
	NTLM_DATAGRAM = 0x40,
	NTLM_NTLM = 0x200,
	NTLM_ANONYMOUS = 0x800,
	NTLM_DOMAIN_SUPPLIED = 0x1000,
	NTLM_ALWAYS_SIGN = 0x8000,
	NTLM_TARGET_IS_DOMAIN = 0x10000,
	NTLM_EXTENDED_SECURITY = 0x80000, // NTLM2 session security, if not NTLMv2
	NTLM_TARGET_INFO = 0x800000,
	NTLM_128 = 0x20000000,
	NTLM_KEY_EXCHANGE = 0x40000000,
};
#define NTLM_56 0x80000000u // does not fit an enum

enum {
	NTLM_VERSION_SIZE = 8, // bytes of an operating system's version
	NTLM_MIC_AT = 72,      // where in type 3 a MIC stands
	NTLM_MIC_END = NTLM_MIC_AT + NTLM_KEY,
};

// Type 1.
struct ntlm_negotiate {
	uint32_t flags;
	struct str domain; // OEM; empty when it is not said to be there
};

// Type 2.
struct ntlm_challenge {
	uint32_t flags;
	uint8_t challenge[NTLM_CHALLENGE];
	uint8_t version[NTLM_VERSION_SIZE];
	struct str target; // name of the domain or server
	struct str info;   // AV pairs, sound; empty when there are none
};

// Type 3.
struct ntlm_authenticate {
	uint32_t flags; // 0 of old clients' that say none
	uint8_t version[NTLM_VERSION_SIZE];
	bool has_mic; // room for one; whether it is one stands in the response
	struct str lm, nt;
	struct str domain, user, workstation;
	struct str key; // EncryptedRandomSessionKey
};

__attribute__((warn_unused_result)) bool ntlm_parse_negotiate(
    struct str message, struct ntlm_negotiate *out, const char **why);
__attribute__((warn_unused_result)) bool ntlm_parse_challenge(
    struct str message, struct ntlm_challenge *out, const char **why);
__attribute__((warn_unused_result)) bool ntlm_parse_authenticate(
    struct str message, struct ntlm_authenticate *out, const char **why);

// Into an empty text.  Of type 1, flags alone; of type 3, with a MIC of zeros where
// it has one.
void ntlm_write_negotiate(uint32_t flags, struct text *out);
void ntlm_write_challenge(const struct ntlm_challenge *challenge, struct text *out);
void ntlm_write_authenticate(const struct ntlm_authenticate *authenticate, struct text *out);

// Numbers, little-endian; s is long enough.
uint32_t ntlm_u16(struct str s, size_t at);
uint32_t ntlm_u32(struct str s, size_t at);
void ntlm_add_u16(struct text *out, unsigned number);
void ntlm_add_u32(struct text *out, uint32_t number);

#endif
