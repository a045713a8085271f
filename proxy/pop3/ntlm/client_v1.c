// client_v1.c: the one place where libntlm is called.  See client_v1.h.
//
// It takes a password as a C string, widens its bytes as if they were Latin-1, and
// cuts it after 128.  Its messages are not used: of names longer than 160 characters,
// some of which a server chooses, they hold what lies behind its buffers.
#include "proxy/pop3/ntlm/client_v1.h"

#include <ntlm.h>

#include "proxy/pop3/ntlm/unicode.h"

enum { PASSWORD_MAX = 128 };

bool ntlm_client_v1_response(
    struct str password, const uint8_t challenge[NTLM_CHALLENGE], uint8_t out[NTLM_RESPONSE])
{
	char copy[PASSWORD_MAX + 1] = "";
	if (!password.len || password.len > PASSWORD_MAX || !ntlm_is_ascii(password) ||
	    str_find(password, '\0') < password.len)
		return false;
	memcpy(copy, password.at, password.len);
	ntlm_smb_nt_encrypt(copy, challenge, out);
	explicit_bzero(copy, sizeof(copy));
	return true;
}
