// client_v1.h: the NTLMv1 response of a client, by libntlm; for client.c alone.
#ifndef POPGATE_PROXY_POP3_NTLM_CLIENT_V1_H
#define POPGATE_PROXY_POP3_NTLM_CLIENT_V1_H

#include "proxy/pop3/ntlm/crypto.h"

// False when libntlm cannot say the password: beyond ASCII, empty, with NUL, or
// longer than 128 characters.
__attribute__((warn_unused_result)) bool ntlm_client_v1_response(
    struct str password, const uint8_t challenge[NTLM_CHALLENGE], uint8_t out[NTLM_RESPONSE]);

#endif
