// client.h: NTLM as a client: what is said to a store that wants AUTH NTLM.
//
// Pure: no socket, no clock, no randomness but what is passed in.  Used by the
// login method `ntlm` (backends/login).  Two steps: negotiate gives type 1; the
// store's type 2 and that type 1 give type 3.
//
// NTLMv2 is ours, with MIC and channel binding ([MS-NLMP] sections 3.1.5.1.2 and
// 3.3.2).  For stores that know only NTLMv1 the response is libntlm's
// (client_v1.c).  No LM response is ever sent.
#ifndef POPGATE_PROXY_POP3_NTLM_CLIENT_H
#define POPGATE_PROXY_POP3_NTLM_CLIENT_H

#include "proxy/base/text.h"

// Borrowed during each call.  The same for both calls.
struct ntlm_client {
	struct str user, domain; // UTF-8; the domain may be empty
	struct str password;     // UTF-8
	struct str workstation;  // UTF-8; may be empty
	bool v1;                 // NTLMv1 instead of NTLMv2
	struct str binding; // 16 bytes, ntlm_binding_hash of the store's certificate; empty: none
	uint64_t filetime;  // now, in units of 100 ns since 1601; for stores that give no time
	uint8_t nonce[8];   // random: the client's challenge
};

// Writes type 1 into an empty text.
void ntlm_client_negotiate(const struct ntlm_client *client, struct text *out);

// Writes type 3 into an empty text, with room for NTLM_MESSAGE_MAX bytes and NUL.
// `negotiate` is type 1 as sent, `challenge` the store's type 2 as received.  False,
// and *why static, when type 2 is malformed, or user, domain or password cannot be
// said to this store (no UTF-8; beyond ASCII to a store without Unicode or, of
// passwords, by NTLMv1; too long).
__attribute__((warn_unused_result)) bool ntlm_client_authenticate(const struct ntlm_client *client,
    struct str negotiate, struct str challenge, struct text *out, const char **why);

#endif
