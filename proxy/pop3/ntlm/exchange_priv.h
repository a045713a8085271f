// exchange_priv.h: what an exchange holds; for exchange*.c alone.
#ifndef POPGATE_PROXY_POP3_NTLM_EXCHANGE_PRIV_H
#define POPGATE_PROXY_POP3_NTLM_EXCHANGE_PRIV_H

#include "proxy/base/secret.h"
#include "proxy/pop3/ntlm/message.h"

// Longest name in UTF-8, and room for it in either form.
enum { NTLM_NAME_MAX = 255, NTLM_NAME_ROOM = 2 * NTLM_NAME_MAX + 1 };

// What precedes the AV pairs of an NTLMv2 response: the proof, versions, time,
// client's challenge, and zeros between them ([MS-NLMP] sections 2.2.2.7, 2.2.2.8).
enum { NTLM_V2_PAIRS = NTLM_KEY + 28 };

struct ntlm_exchange {
	const struct ntlm_settings *settings; // NULL after finish
	uint32_t offered;                     // flags of type 1
	bool is_relayed;                      // the challenge is a store's, which judges
	struct secret negotiate, challenge, authenticate;
	struct ntlm_challenge sent;    // borrows from challenge
	struct ntlm_authenticate said; // borrows from authenticate
	enum ntlm_level level;
	bool has_mic; // says so under the proof
	char offered_domain[NTLM_NAME_MAX + 1];
	char user[NTLM_NAME_MAX + 1], domain[NTLM_NAME_MAX + 1], workstation[NTLM_NAME_MAX + 1];
};

// exchange_names.c: reads who it is.
bool ntlm_exchange_read_names(struct ntlm_exchange *exchange, const char **why);

// exchange_checks.c: everything else that finish promises.
bool ntlm_exchange_check(struct ntlm_exchange *exchange, const char **why);

static inline bool ntlm_refuse(const char **why, const char *reason)
{
	*why = reason;
	return false;
}

#endif
