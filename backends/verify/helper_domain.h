// helper_domain.h: which domain winbind is of, as ntlm_auth tells it.
//
// Used by the probe (proxy/server/helper_probe.h): ntlm_auth, told to play an NTLM
// server (protocol squid-2.5-ntlmssp), names its domain in the challenge that it makes
// ([MS-NLMP] section 2.2.1.2).  Pure.
#ifndef POPGATE_BACKENDS_VERIFY_HELPER_DOMAIN_H
#define POPGATE_BACKENDS_VERIFY_HELPER_DOMAIN_H

#include "proxy/base/text.h"

// What asks for a challenge, in that protocol.
#define HELPER_DOMAIN_PROTOCOL "squid-2.5-ntlmssp"
struct str helper_domain_question(void);

// The NetBIOS domain of an answer, in UTF-8.  False when it is no challenge.
__attribute__((warn_unused_result)) bool helper_domain_parse(struct str answer, struct text *out);

#endif
