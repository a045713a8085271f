// avpair.h: the list of pairs of a number and a value in a challenge and in an
// NTLMv2 response ([MS-NLMP] section 2.2.2.1).
//
// Pure.  Slices borrow from the list.
#ifndef POPGATE_PROXY_POP3_NTLM_AVPAIR_H
#define POPGATE_PROXY_POP3_NTLM_AVPAIR_H

#include "proxy/base/text.h"

enum ntlm_av {
	NTLM_AV_end = 0,
	NTLM_AV_computer = 1,
	NTLM_AV_domain = 2,
	NTLM_AV_dns_computer = 3,
	NTLM_AV_dns_domain = 4,
	NTLM_AV_dns_tree = 5,
	NTLM_AV_flags = 6, // 4 bytes
	NTLM_AV_time = 7,  // 8 bytes
	NTLM_AV_single_host = 8,
	NTLM_AV_service = 9,  // the service that the client meant
	NTLM_AV_binding = 10, // 16 bytes; all zero: none
};

// Bits of NTLM_AV_flags.
enum ntlm_av_flag {
	NTLM_AV_FLAG_mic = 2,               // there is a MIC
	NTLM_AV_FLAG_service_untrusted = 4, // the service's name came from nobody in particular
};

// Takes the first pair off a list.  False at its end, and when it is cut off.
bool ntlm_av_take(struct str *list, unsigned *out_id, struct str *out_value);

// Whether the list has an end, and no known number twice or with a value of a
// length that it cannot have.  Of such a list the following are true.
bool ntlm_av_is_sound(struct str list);

// The value of a number; false, and empty, when it is not there.
bool ntlm_av_find(struct str list, unsigned id, struct str *out_value);

// NTLM_AV_flags, 0 when there are none.
uint32_t ntlm_av_flags(struct str list);

void ntlm_av_add(struct text *out, unsigned id, struct str value);
void ntlm_av_add_flags(struct text *out, uint32_t flags);

#endif
