// crypto.h: NTLM's computations ([MS-NLMP] section 3.3), by BoringSSL.
//
// Pure.  Used by both sides of NTLM, and by users.db for the NT hash.  Keys on the
// stack are wiped; outputs are the caller's to wipe.
#ifndef POPGATE_PROXY_POP3_NTLM_CRYPTO_H
#define POPGATE_PROXY_POP3_NTLM_CRYPTO_H

#include "proxy/base/str.h"

enum {
	NTLM_KEY = 16,           // bytes of a hash, proof or key
	NTLM_CHALLENGE = 8,      // of a challenge
	NTLM_RESPONSE = 24,      // of an NTLMv1 response
	NTLM_PASSWORD_MAX = 256, // characters (UTF-16 units), as Windows has it
};

// NTOWFv1: MD4 of the password in UTF-16LE.  False when it is no UTF-8 (RFC 3629)
// or too long.
__attribute__((warn_unused_result)) bool ntlm_nt_hash(struct str password, uint8_t out[NTLM_KEY]);

// NTOWFv2, of the user in upper case and the domain, both in UTF-16LE.
void ntlm_key_v2(
    const uint8_t nt_hash[NTLM_KEY], struct str user, struct str domain, uint8_t out[NTLM_KEY]);

// NTProofStr: what begins an NTLMv2 response; `temp` is all that follows it.
void ntlm_proof_v2(const uint8_t key_v2[NTLM_KEY], const uint8_t challenge[NTLM_CHALLENGE],
    struct str temp, uint8_t out[NTLM_KEY]);

// SessionBaseKey of NTLMv2.
void ntlm_session_base_v2(
    const uint8_t key_v2[NTLM_KEY], const uint8_t proof[NTLM_KEY], uint8_t out[NTLM_KEY]);

// DESL(NTOWFv1, challenge): the response of NTLMv1 and, with the challenge below,
// of NTLM2 session security.
void ntlm_response_v1(const uint8_t nt_hash[NTLM_KEY], const uint8_t challenge[NTLM_CHALLENGE],
    uint8_t out[NTLM_RESPONSE]);

// What NTLM2 session security answers instead of the server's challenge.
void ntlm_challenge_ntlm2(const uint8_t server[NTLM_CHALLENGE],
    const uint8_t client[NTLM_CHALLENGE], uint8_t out[NTLM_CHALLENGE]);

// RC4 of one key by another: to and from EncryptedRandomSessionKey.
void ntlm_wrap_key(
    const uint8_t key[NTLM_KEY], const uint8_t wrapped[NTLM_KEY], uint8_t out[NTLM_KEY]);

// The MIC of three messages by the exported session key; what stands in the MIC's
// place in `authenticate` (at least 88 bytes long) counts as zero.
void ntlm_mic(const uint8_t key[NTLM_KEY], struct str negotiate, struct str challenge,
    struct str authenticate, uint8_t out[NTLM_KEY]);

// MsvAvChannelBindings: MD5 of gss_channel_bindings_struct (section 2.2.2.1; RFC
// 2744 section 3.11) with "tls-server-end-point:" (RFC 5929 section 4) and the
// hash of the server's certificate.
void ntlm_binding_hash(struct str certificate_hash, uint8_t out[NTLM_KEY]);

#endif
