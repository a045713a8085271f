// unicode.h: the texts of NTLM: UTF-16LE, or OEM of clients without Unicode
// ([MS-NLMP] section 2.2), and the UTF-8 that all others of popgate see.
//
// Pure.  OEM is ASCII here and nothing else: its code page is the client's, which
// no message names, and clients that say OEM today (curl) mean no code page at all.
#ifndef POPGATE_PROXY_POP3_NTLM_UNICODE_H
#define POPGATE_PROXY_POP3_NTLM_UNICODE_H

#include "proxy/base/text.h"

bool ntlm_is_ascii(struct str s);

// Appends `utf8` in UTF-16LE.  False when it is no UTF-8 (RFC 3629), or did not fit.
__attribute__((warn_unused_result)) bool ntlm_utf16_from(struct str utf8, struct text *out);

// Appends a text of a message in UTF-8.  False when it is none (an odd number of
// bytes, half a surrogate pair, beyond ASCII in OEM, NUL), or did not fit.
__attribute__((warn_unused_result)) bool ntlm_utf8_from(
    struct str s, bool is_unicode, struct text *out);

// Appends `utf16` in upper case, as Windows has it for names: letter by letter, and
// only letters whose capital has them for its small letter (so not the dotless i,
// the long s, the micro sign), but the final sigma.
void ntlm_upper(struct str utf16, struct text *out);

#endif
