// exchange_names.c: who a type 3 says it is from, or why it may not say so.
//
// Names go into commands to stores, into helpers' requests and into logs, and are
// taken apart at their separators, so none of these may stand in them.
#include "proxy/pop3/ntlm/exchange_priv.h"
#include "proxy/pop3/ntlm/unicode.h"

// Accounts that anybody may use, wherever they exist.
static const struct str everybody[] = {{"guest", 5}, {"anonymous", 9}, {"anonymous logon", 15}};

static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static bool has_control(struct str utf8)
{
	uint32_t code = ' ';
	while (utf8.len && !is_control(code))
		str_take_code_point(&utf8, &code);
	return is_control(code);
}

static bool has_one_of(struct str s, struct str separators)
{
	for (size_t i = 0; i < separators.len; i++)
		if (str_find(s, separators.at[i]) < s.len)
			return true;
	return false;
}

// Where both are there, UNICODE counts (MS-NLMP 2.2.2.5).
static bool is_unicode(const struct ntlm_exchange *exchange)
{
	uint32_t own = exchange->said.flags & (NTLM_UNICODE | NTLM_OEM);
	return (own ? own : exchange->sent.flags) & NTLM_UNICODE;
}

// A store that left no choice reads the names as it said, and others than we do from a
// client that says otherwise.
static bool has_agreed(const struct ntlm_exchange *exchange)
{
	uint32_t agreed = exchange->sent.flags & (NTLM_UNICODE | NTLM_OEM);
	bool is_open = agreed != NTLM_UNICODE && agreed != NTLM_OEM;
	return !exchange->is_relayed || is_open || is_unicode(exchange) == (agreed == NTLM_UNICODE);
}

static bool read_name(const struct ntlm_exchange *exchange, struct str field, struct text *out)
{
	return ntlm_utf8_from(field, is_unicode(exchange), out) && !has_control(text_str(out));
}

// "user@domain" with both, the domain of the message being empty.
static bool is_principal(struct str user, struct str domain)
{
	struct str name, at;
	return domain.len == 0 && str_cut(user, '@', &name, &at) && name.len && at.len &&
	       !has_one_of(at, STR("@"));
}

static bool is_everybody(struct str user)
{
	struct str name, at;
	str_cut(user, '@', &name, &at);
	for (size_t i = 0; i < sizeof(everybody) / sizeof(everybody[0]); i++)
		if (str_eq_nocase(name, everybody[i]))
			return true;
	return false;
}

static bool check_user(struct str user, struct str domain, const char **why)
{
	if (user.len == 0)
		return ntlm_refuse(why, "anonymous: no user");
	if (has_one_of(user, STR("\\/:")) || has_one_of(domain, STR("\\/:@")))
		return ntlm_refuse(why, "a separator within a name");
	if (has_one_of(user, STR("@")) && !is_principal(user, domain))
		return ntlm_refuse(why, "user@domain beside a domain");
	return !is_everybody(user) || ntlm_refuse(why, "an account of everybody's");
}

bool ntlm_exchange_read_names(struct ntlm_exchange *exchange, const char **why)
{
	const struct ntlm_authenticate *said = &exchange->said;
	struct text user = TEXT(exchange->user), domain = TEXT(exchange->domain);
	struct text workstation = TEXT(exchange->workstation);
	if (said->flags & NTLM_ANONYMOUS)
		return ntlm_refuse(why, "anonymous: says so");
	if (!has_agreed(exchange))
		return ntlm_refuse(why, "names in another coding than was agreed on");
	if (!read_name(exchange, said->user, &user) ||
	    !read_name(exchange, said->domain, &domain) ||
	    !read_name(exchange, said->workstation, &workstation))
		return ntlm_refuse(why, "a name is no text, too long, or has control characters");
	return check_user(text_str(&user), text_str(&domain), why);
}
