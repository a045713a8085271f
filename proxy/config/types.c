// types.c: the tables behind types.def: words, checks, rows.  See types.h.
#include "proxy/config/types.h"

#include "proxy/base/addr.h"
#include "proxy/config/server_name.h"

#define WORD(name, value)                                                                          \
	{                                                                                          \
		name, value, NULL                                                                  \
	}
#define LAST                                                                                       \
	{                                                                                          \
		NULL, 0, NULL                                                                      \
	}

static const struct option_word log_target_words[] = {WORD("stderr", 0), WORD("syslog", 0), LAST};

static const struct option_word workers_words[] = {WORD("auto", 0), LAST};

// Units stand in growing order.  One without a name: a bare number will do.
static const struct option_word count_units[] = {WORD("", 1), LAST};

static const struct option_word size_units[] = {
    WORD("", 1),
    WORD("K", 1 << 10),
    WORD("M", 1 << 20),
    WORD("G", 1 << 30),
    LAST,
};

static const struct option_word duration_units[] = {
    WORD("ms", 1),
    WORD("s", 1000),
    WORD("m", 60 * 1000),
    WORD("h", 60 * 60 * 1000),
    WORD("d", 24 * 60 * 60 * 1000),
    LAST,
};

static const struct option_word method_words[] = {
    WORD("basic", LOGIN_METHOD_basic),
    WORD("basic-tls", LOGIN_METHOD_basic_tls),
    WORD("ntlm", LOGIN_METHOD_ntlm),
    WORD("ntlm-tls", LOGIN_METHOD_ntlm_tls),
    WORD("digest", LOGIN_METHOD_digest),
    WORD("digest-tls", LOGIN_METHOD_digest_tls),
    WORD("external", LOGIN_METHOD_external),
    {"ntlm2", LOGIN_METHOD_ntlm2, "for all clients this is ntlm_level: ntlm2; leave it out"},
    {"ntlm-v1", LOGIN_METHOD_ntlm_v1, "for all clients this is ntlm_level: v1; leave it out"},
    {"legacy-tls", LOGIN_METHOD_legacy_tls,
        "for all clients this is tls_profile: legacy; leave it out"},
    {"membership", 0, "this version of popgate cannot ask an outside directory yet; leave it out"},
    LAST,
};

static const struct option_word capability_words[] = {
    WORD("top", CAPABILITY_top),
    WORD("uidl", CAPABILITY_uidl),
    WORD("pipelining", CAPABILITY_pipelining),
    LAST,
};

static const struct option_word log_format_words[] = {
    WORD("text", LOG_FORMAT_text),
    WORD("json", LOG_FORMAT_json),
    LAST,
};

static const struct option_word log_level_words[] = {
    WORD("error", LOG_LEVEL_error),
    WORD("warn", LOG_LEVEL_warn),
    WORD("info", LOG_LEVEL_info),
    WORD("debug", LOG_LEVEL_debug),
    LAST,
};

static const struct option_word key_isolation_words[] = {
    WORD("off", KEY_ISOLATION_off),
    WORD("on", KEY_ISOLATION_on),
    LAST,
};

static const struct option_word unknown_names_words[] = {
    WORD("serve", UNKNOWN_NAMES_serve),
    WORD("refuse", UNKNOWN_NAMES_refuse),
    LAST,
};

static const struct option_word certificate_ocsp_words[] = {
    WORD("off", CERTIFICATE_OCSP_off),
    WORD("file", CERTIFICATE_OCSP_file),
    WORD("fetch", CERTIFICATE_OCSP_fetch),
    LAST,
};

static const struct option_word access_words[] = {
    WORD("allow", ACCESS_allow),
    WORD("deny", ACCESS_deny),
    LAST,
};

static const struct option_word unavailable_words[] = {
    WORD("refuse", UNAVAILABLE_refuse),
    WORD("next", UNAVAILABLE_next),
    LAST,
};

static const struct option_word ntlm_level_words[] = {
    WORD("v2", LISTENER_NTLM_v2),
    WORD("ntlm2", LISTENER_NTLM_ntlm2),
    WORD("v1", LISTENER_NTLM_v1),
    LAST,
};

static const struct option_word ntlm_binding_words[] = {
    WORD("off", LISTENER_BINDING_off),
    WORD("allow", LISTENER_BINDING_allow),
    WORD("require", LISTENER_BINDING_require),
    LAST,
};

static const struct option_word ntlm_mic_words[] = {
    WORD("allow", LISTENER_MIC_allow),
    WORD("require", LISTENER_MIC_require),
    LAST,
};

static const struct option_word tls_profile_words[] = {
    WORD("modern", LISTENER_PROFILE_modern),
    WORD("intermediate", LISTENER_PROFILE_intermediate),
    WORD("legacy", LISTENER_PROFILE_legacy),
    LAST,
};

static const struct option_word tls_min_words[] = {
    WORD("profile", LISTENER_VERSION_of_profile),
    WORD("1.0", LISTENER_VERSION_1_0),
    WORD("1.1", LISTENER_VERSION_1_1),
    WORD("1.2", LISTENER_VERSION_1_2),
    WORD("1.3", LISTENER_VERSION_1_3),
    LAST,
};

static const struct option_word refusal_words[] = {
    WORD("message", REFUSAL_message),
    WORD("drop", REFUSAL_drop),
    WORD("reset", REFUSAL_reset),
    LAST,
};

static const struct option_word listener_tls_words[] = {
    WORD("implicit", LISTENER_TLS_implicit),
    WORD("stls", LISTENER_TLS_stls),
    WORD("none", LISTENER_TLS_none),
    LAST,
};

static const struct option_word client_certs_words[] = {
    WORD("off", CLIENT_CERTS_off),
    WORD("optional", CLIENT_CERTS_optional),
    WORD("required", CLIENT_CERTS_required),
    LAST,
};

static const struct option_word backend_tls_words[] = {
    WORD("none", BACKEND_TLS_none),
    WORD("stls", BACKEND_TLS_stls),
    WORD("tls", BACKEND_TLS_tls),
    LAST,
};

static const struct option_word backend_login_words[] = {
    WORD("pass", BACKEND_LOGIN_pass),
    WORD("plain", BACKEND_LOGIN_plain),
    WORD("cram-md5", BACKEND_LOGIN_cram_md5),
    WORD("apop", BACKEND_LOGIN_apop),
    WORD("ntlm", BACKEND_LOGIN_ntlm),
    WORD("master", BACKEND_LOGIN_master),
    WORD("stored", BACKEND_LOGIN_stored),
    LAST,
};

static const struct option_word backend_ntlm_words[] = {
    WORD("v2", BACKEND_NTLM_v2),
    WORD("v1", BACKEND_NTLM_v1),
    LAST,
};

static const struct option_word client_address_words[] = {
    WORD("none", CLIENT_ADDRESS_none),
    WORD("proxy-v1", CLIENT_ADDRESS_proxy_v1),
    WORD("proxy-v2", CLIENT_ADDRESS_proxy_v2),
    WORD("xclient", CLIENT_ADDRESS_xclient),
    LAST,
};

// A "<" in the greeting would begin an APOP timestamp (RFC 1939 section 7);
// replies are ASCII until the client has asked for more (RFC 6856 section 2).
static bool check_reply(struct str item, struct text *why)
{
	for (size_t i = 0; i < item.len; i++)
		if ((unsigned char)item.at[i] >= 0x7f) {
			text_addf(why, "POP3 replies are plain ASCII");
			return false;
		}
	if (str_find(item, '<') < item.len) {
		text_addf(
		    why, "leave out \"<\", which clients take for the start of an APOP timestamp");
		return false;
	}
	return true;
}

static bool check_url(struct str item, struct text *why)
{
	struct str scheme, rest;
	bool sound = str_cut(item, ':', &scheme, &rest) &&
	             (str_eq_nocase(scheme, STR("http")) || str_eq_nocase(scheme, STR("https"))) &&
	             str_starts_nocase(rest, STR("//")) && rest.len > 2;
	for (size_t i = 0; i < item.len; i++)
		sound = sound && item.at[i] > ' ' && item.at[i] < 0x7f;
	if (!sound && item.len)
		text_addf(why, "%s is not a URL, such as http://ocsp.example.org/", shown(item).at);
	return sound || !item.len;
}

static bool check_bind(struct str item, struct text *why)
{
	struct addr addr;
	bool sound = addr_parse(item, 0, &addr);
	if (!sound)
		text_addf(why,
		    "%s is not an address with a port, such as 192.0.2.1:995 or \"[::]:995\"",
		    shown(item).at);
	return sound;
}

// None is an address that may be left out.
static bool check_address(struct str item, struct text *why)
{
	struct addr addr;
	bool sound = str_is_empty(item) || addr_parse(item, 0, &addr);
	if (!sound)
		text_addf(why,
		    "%s is not an address with a port, such as 127.0.0.1:9110 or \"[::1]:9110\"",
		    shown(item).at);
	return sound;
}

static bool is_host_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '-' || c == '_' || c == '.';
}

// A name that a resolver can be asked for; that it is one, only DNS knows.
static bool is_host(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_host_char(s.at[i]))
			return false;
	return s.len >= 1 && s.len <= 253 && s.at[0] != '-' && s.at[0] != '.';
}

// What a name with letters beyond ASCII lacks; the DNS has none of them (RFC 5890).
static const char *script_hint(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.at[i] >= 0x80)
			return "; write labels of other scripts as the DNS has them (xn--...), "
			       "which the program idn2 prints";
	return "";
}

static bool is_port(struct str s)
{
	uint64_t port;
	return str_to_u64(s, &port) && port >= 1 && port <= UINT16_MAX;
}

static bool check_server(struct str item, struct text *why)
{
	struct addr addr;
	struct str host, port;
	bool has_port = str_cut(item, ':', &host, &port);
	if (addr_parse(item, 0, &addr) ? addr_port(&addr) : is_host(host) && is_port(port))
		return true;
	if (!has_port && is_host(item))
		text_addf(why, "%s lacks a port; write %.*s:110, or :995 with tls: tls",
		    shown(item).at, STR_ARG(item));
	else
		text_addf(why,
		    "%s is not host:port, such as mail.example.org:995 or "
		    "\"[2001:db8::1]:995\"%s",
		    shown(item).at, script_hint(item));
	return false;
}

static bool check_host(struct str item, struct text *why)
{
	bool sound = is_host(item);
	if (!sound)
		text_addf(why, "%s is not a host name, such as mail.example.org%s", shown(item).at,
		    script_hint(item));
	return sound;
}

static bool check_server_name(struct str item, struct text *why)
{
	struct addr addr;
	struct str name, backend;
	if (!server_name_split(item, &name, &backend)) {
		text_addf(why, "%s is no rule NAME at BACKEND, such as pop.example.org at store",
		    shown(item).at);
		return false;
	}
	bool is_wild = str_eq(str_take(name, 2), STR("*."));
	bool sound = is_host(str_drop(name, is_wild ? 2 : 0)) && name.at[name.len - 1] != '.' &&
	             !addr_parse(name, 1, &addr);
	if (!sound)
		text_addf(why,
		    "%s is no name that a client can ask for, such as pop.example.org or "
		    "*.example.org%s",
		    shown(name).at, script_hint(name));
	return sound;
}

static bool check_user(struct str item, struct text *why)
{
	bool has_domain = str_find(item, '\\') < item.len || str_find(item, '/') < item.len ||
	                  str_find(item, '@') < item.len;
	if (has_domain)
		text_addf(why, "%s has a domain; write the user's name alone, it counts in all",
		    shown(item).at);
	else if (!item.len)
		text_addf(why, "a name must not be empty");
	return item.len && !has_domain;
}

// Whether it is one of the words; the last is followed by NULL.
static bool is_among(struct str item, const char *const *words, struct suggestion *suggestion)
{
	*suggestion = (struct suggestion){.wanted = item};
	for (; *words; words++) {
		if (str_eq(item, str_of(*words)))
			return true;
		suggestion_offer(suggestion, str_of(*words));
	}
	return false;
}

static bool check_verifier(struct str item, struct text *why)
{
	static const char *const words[] = {"backend", "certificate", "users", "winbind", NULL};
	struct suggestion suggestion;
	bool sound = is_among(item, words, &suggestion);
	if (!sound)
		text_addf(why,
		    "%s judges no logins; there are backend, certificate, users and winbind%s",
		    shown(item).at, suggestion_shown(&suggestion).at);
	return sound;
}

static bool check_client_name(struct str item, struct text *why)
{
	static const char *const words[] = {"email", "upn", "common-name", "dns", NULL};
	struct suggestion suggestion;
	bool sound = is_among(item, words, &suggestion);
	if (!sound)
		text_addf(why,
		    "%s is no name of a certificate; there are email, upn, common-name and dns%s",
		    shown(item).at, suggestion_shown(&suggestion).at);
	return sound;
}

static bool check_resolver(struct str item, struct text *why)
{
	enum { DNS_PORT = 53 };
	struct addr addr;
	bool sound = str_eq(item, STR("system")) || addr_parse(item, DNS_PORT, &addr);
	if (!sound)
		text_addf(why,
		    "%s is not the address of a name server, such as 127.0.0.1, \"[::1]:5353\" "
		    "or system",
		    shown(item).at);
	return sound;
}

#define TYPE(name, c_type, form, words, check, pattern, how)                                       \
	[TYPE_##name] = {#name, FORM_##form, sizeof(c_type), words, check, pattern, how},
const struct type_row option_types[OPTION_TYPES] = {
#include "proxy/config/types.def"
};
#undef TYPE

// A C type must be what its form keeps.
#define TYPE(name, c_type, form, ...)                                                              \
	_Static_assert(sizeof(c_type) == sizeof(((union option_value *)0)->form), #name);
#include "proxy/config/types.def"
#undef TYPE

struct shown type_how(const struct type_row *type)
{
	struct shown how;
	struct text text = TEXT(how.at);
	const struct option_word *word = type->words;
	text_add(&text, str_of(type->how));
	if (type->form != FORM_choice)
		return how;
	for (size_t i = 0; word[i].name; i++)
		text_addf(&text, "%s%s", !i ? "" : word[i + 1].name ? ", " : " or ", word[i].name);
	return how;
}
