// helper_question.c: questions to ntlm_auth, as lines.  See helper_question.h.
//
//     LANMAN-Challenge: 0123456789abcdef     Full-Username:: YWxpY2U=
//     NT-Response: 68cd...                   Password:: U2Vj...
//     Username:: YWxpY2U=                    .
//     NT-Domain:: TEFC
//     Request-User-Session-Key: Yes
//     .
//
// Texts go in base64 (`::`), since a raw one could bring lines of its own.  By
// password, the domain is made part of the name: in a line of its own, ntlm_auth
// takes a missing one for "(null)".
#include "backends/verify/helper_question.h"

#include <openssl/base64.h>

enum { PIECE = 3 * 16, NO_RESPONSE = 24 };

static bool add(struct buf *out, struct str s)
{
	return buf_add(out, s, HELPER_QUESTION_MAX);
}

static bool add_hex(struct buf *out, const char *name, struct str bytes)
{
	static const char digits[] = "0123456789abcdef";
	bool fits = add(out, str_of(name)) && add(out, STR(": "));
	for (size_t i = 0; i < bytes.len && fits; i++) {
		unsigned char byte = (unsigned char)bytes.at[i];
		char pair[] = {digits[byte >> 4], digits[byte & 15]};
		fits = add(out, (struct str){pair, sizeof(pair)});
	}
	return fits && add(out, STR("\n"));
}

static bool add_base64(struct buf *out, const char *name, struct str text)
{
	uint8_t encoded[PIECE / 3 * 4 + 1];
	bool fits = add(out, str_of(name)) && add(out, STR(":: "));
	for (; text.len && fits; text = str_drop(text, PIECE)) {
		struct str piece = str_take(text, PIECE);
		size_t len = EVP_EncodeBlock(encoded, (const uint8_t *)piece.at, piece.len);
		fits = add(out, (struct str){(const char *)encoded, len});
	}
	explicit_bzero(encoded, sizeof(encoded));
	return fits && add(out, STR("\n"));
}

static bool is_askable(struct str user, struct str domain)
{
	return user.len && !str_has_control(user) && !str_has_control(domain);
}

static bool write_ntlm(const struct ntlm_question *ntlm, struct buf *out)
{
	struct str challenge = {(const char *)ntlm->challenge, sizeof(ntlm->challenge)};
	return is_askable(ntlm->user, ntlm->domain) &&
	       add_hex(out, "LANMAN-Challenge", challenge) &&
	       add_hex(out, "NT-Response", ntlm->nt) && add_base64(out, "Username", ntlm->user) &&
	       (!ntlm->domain.len || add_base64(out, "NT-Domain", ntlm->domain)) &&
	       add(out, STR("Request-User-Session-Key: Yes\n.\n"));
}

static bool write_plain(const struct helper_question *question, struct buf *out)
{
	const struct ntlm_question *about = &question->about;
	struct buf name = {0};
	bool fits = is_askable(about->user, about->domain) && question->password.len &&
	            !str_has_control(question->password);
	if (fits && about->domain.len)
		fits = add(&name, about->domain) && add(&name, STR("\\"));
	fits = fits && add(&name, about->user) &&
	       add_base64(out, "Full-Username", buf_str(&name)) &&
	       add_base64(out, "Password", question->password) && add(out, STR(".\n"));
	buf_done(&name);
	return fits;
}

bool helper_question_write(const struct helper_question *question, struct buf *out)
{
	return question->by_password ? write_plain(question, out)
	                             : write_ntlm(&question->about, out);
}

// No account can have such a name ([MS-SAMR] section 3.1.1.8.4).
struct helper_question helper_question_about_nobody(struct str domain)
{
	static const char no_response[NO_RESPONSE];
	return (struct helper_question){
	    .about =
	        {
	            .nt = {no_response, sizeof(no_response)},
	            .user = STR("*popgate*"),
	            .domain = domain,
	        },
	};
}
