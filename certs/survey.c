// survey.c: judging a certificate as clients do.  See survey.h.
//
// Each check is a function of its own that adds what it finds; none but check_taken depends on
// what another has found.
#include "certs/survey.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "certs/authorities.h"
#include "certs/chain.h"
#include "certs/leaf.h"
#include "certs/load.h"
#include "certs/private_key.h"
#include "certs/subject.h"
#include "proxy/config/problems.h"

enum { DAY = 24 * 60 * 60, DAYS_PUBLIC = 398, DAYS_OTHERS = 825 };
enum { EC_BITS_MIN = 256, EC_BITS_COMMON = 384 };

enum { SEVERITY_remark, SEVERITY_error };

#define FINDING(token, severity, sentence, effect, step)                                           \
	{#token, SEVERITY_##severity == SEVERITY_error, sentence, effect, step},
const struct finding_row finding_rows[FINDINGS] = {
#include "certs/findings.def"
};
#undef FINDING

struct surveying {
	const struct survey_question *question;
	struct survey *survey;
	struct bundle bundle;
	struct evp_pkey_st *key;
	struct authorities *authorities;
	X509 *leaf; // the bundle's
	struct chain chain;
	X509 *authority; // which vouches for the chain, and is not of it; NULL: not known
};

typedef void check_fn(struct surveying *s);

void survey_add(struct survey *survey, enum finding_token token, const char *format, ...)
{
	survey->num_errors += finding_rows[token].is_error;
	if (survey->num == SURVEY_MAX)
		return;
	struct finding *finding = &survey->at[survey->num++];
	struct text detail = TEXT(finding->detail);
	va_list args;
	finding->token = token;
	va_start(args, format);
	text_addv(&detail, format, args);
	va_end(args);
}

// A name of a certificate, by value.
struct printed {
	char at[256];
};

static struct printed subject_of(const X509 *certificate)
{
	struct printed printed;
	struct text text = TEXT(printed.at);
	subject_print_name(X509_get_subject_name(certificate), &text);
	return printed;
}

static struct printed issuer_of(const X509 *certificate)
{
	struct printed printed;
	struct text text = TEXT(printed.at);
	subject_print_name(X509_get_issuer_name(certificate), &text);
	return printed;
}

static struct printed time_of(int64_t at)
{
	struct printed printed;
	struct text text = TEXT(printed.at);
	subject_print_time(at, &text);
	return printed;
}

// ---- the key ------------------------------------------------------------

static void check_key_mismatch(struct surveying *s)
{
	size_t found = s->key ? chain_find_leaf(&s->bundle, s->key) : 0;
	if (found == s->bundle.num)
		survey_add(s->survey, FINDING_key_mismatch, "%s", s->question->key_path);
	else if (found)
		survey_add(s->survey, FINDING_leaf_not_first, "it is number %zu: %s", found + 1,
		    subject_of(s->bundle.at[found]).at);
}

// What is told of the key already need not be told of the files.
static bool is_told(const struct survey *survey)
{
	for (size_t i = 0; i < survey->num; i++)
		if (survey->at[i].token == FINDING_key_mismatch ||
		    survey->at[i].token == FINDING_leaf_not_first)
			return true;
	return false;
}

static bool can_be_read_without_key(const struct survey_question *question, struct text *why)
{
	struct pair pair = {.key = NULL};
	bool can = pair_read_public(question->chain_path, NULL, 0, &pair, why);
	pair_done(&pair);
	return can;
}

// By what a start does with them, which wants one form alone, and the whole of it.
static void check_taken(struct surveying *s)
{
	char room[SURVEY_DETAIL];
	struct text why = TEXT(room);
	const struct survey_question *question = s->question;
	if (!question->is_configured || is_told(s->survey))
		return;
	struct tls_certificate *certificate =
	    certs_load(question->chain_path, question->key_path, &why);
	if (!certificate || (question->is_isolated && !can_be_read_without_key(question, &why)))
		survey_add(s->survey, FINDING_not_taken, "%s", room);
	tls_certificate_free(&certificate);
}

static void check_key_exposed(struct surveying *s)
{
	mode_t mode;
	const char *path = s->question->key_path;
	if (path && private_key_is_exposed(path, &mode))
		survey_add(s->survey, FINDING_key_exposed, "%s", path);
}

static void check_key_replaceable(struct surveying *s)
{
	char room[PATH_MAX];
	struct text folder = TEXT(room);
	const char *path = s->question->key_path;
	if (path && private_key_is_replaceable(path, &folder))
		survey_add(s->survey, FINDING_key_replaceable, "%s, by folder %s", path, room);
}

static enum finding_token judge_key(const EVP_PKEY *key)
{
	int type = EVP_PKEY_id(key), bits = EVP_PKEY_bits(key);
	if (type == EVP_PKEY_RSA)
		return bits < RSA_BITS_MIN ? FINDING_key_weak : FINDINGS;
	if (type != EVP_PKEY_EC)
		return FINDING_key_uncommon;
	return bits < EC_BITS_MIN      ? FINDING_key_weak
	       : bits > EC_BITS_COMMON ? FINDING_key_uncommon
	                               : FINDINGS;
}

static void check_key_of(struct surveying *s, X509 *certificate)
{
	char room[64];
	struct text text = TEXT(room);
	EVP_PKEY *key = X509_get_pubkey(certificate);
	enum finding_token token = key ? judge_key(key) : FINDING_key_uncommon;
	if (token == FINDING_key_weak && certificate != s->leaf)
		token = FINDING_issuer_key_weak;
	subject_print_key(key, &text);
	if (token != FINDINGS)
		survey_add(s->survey, token, "%s, of %s", room, subject_of(certificate).at);
	EVP_PKEY_free(key);
	ERR_clear_error();
}

// Clients ask the same of the keys of issuers, up to the one that they know.
static void check_keys(struct surveying *s)
{
	for (size_t i = 0; i < s->chain.num; i++)
		check_key_of(s, s->chain.at[i]);
	if (s->authority)
		check_key_of(s, s->authority);
}

// ---- times --------------------------------------------------------------

static void check_times(struct surveying *s)
{
	int64_t from = subject_time(X509_get0_notBefore(s->leaf)), now = s->question->now;
	int64_t until = subject_time(X509_get0_notAfter(s->leaf));
	if (now > until)
		survey_add(s->survey, FINDING_expired, "on %s", time_of(until).at);
	else if (now < from)
		survey_add(s->survey, FINDING_not_yet_valid, "only from %s", time_of(from).at);
	else if (leaf_ends_soon(from, until, now, s->question->warning_s))
		survey_add(s->survey, FINDING_expires_soon, "in %d days, on %s",
		    (int)((until - now) / DAY), time_of(until).at);
}

static void check_time_of(struct surveying *s, const X509 *issuer, enum finding_token token)
{
	if (!subject_is_valid(issuer, s->question->now))
		survey_add(s->survey, token, "%s, from %s to %s", subject_of(issuer).at,
		    time_of(subject_time(X509_get0_notBefore(issuer))).at,
		    time_of(subject_time(X509_get0_notAfter(issuer))).at);
}

static void check_issuer_times(struct surveying *s)
{
	for (size_t i = 1; i < s->chain.num; i++)
		check_time_of(s, s->chain.at[i], FINDING_issuer_out_of_time);
	if (s->authority)
		check_time_of(s, s->authority, FINDING_authority_out_of_time);
}

// The limits count from notBefore to notAfter, both included.
static void check_lifetime(struct surveying *s)
{
	int64_t from = subject_time(X509_get0_notBefore(s->leaf));
	int64_t until = subject_time(X509_get0_notAfter(s->leaf));
	int64_t most = s->question->ca_path ? DAYS_OTHERS : DAYS_PUBLIC;
	if (until - from + 1 > most * DAY)
		survey_add(
		    s->survey, FINDING_valid_too_long, "for %d days", (int)((until - from) / DAY));
}

// ---- the chain ----------------------------------------------------------

static void add_incomplete(struct surveying *s, X509 *about)
{
	char room[SURVEY_DETAIL];
	struct text url = TEXT(room);
	subject_print_issuer_url(about, &url);
	survey_add(s->survey, FINDING_chain_incomplete, "%s, who has issued %s%s%s",
	    issuer_of(about).at, subject_of(about).at, url.len ? "; it may be had from " : "",
	    room);
}

static void check_trust(struct surveying *s)
{
	X509 *about;
	int error = authorities_verify(s->authorities, s->leaf, &s->bundle, &about);
	if (error != X509_V_OK && subject_is_self_signed(s->leaf)) // whatever its key may sign
		error = X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
	switch (error) {
	case X509_V_OK: break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: add_incomplete(s, about); break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		survey_add(s->survey, FINDING_self_signed, "%s", subject_of(s->leaf).at);
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		survey_add(s->survey, FINDING_authority_unknown, "%s", subject_of(about).at);
		break;
	default:
		survey_add(s->survey, FINDING_chain_wrong, "%s, at %s",
		    X509_verify_cert_error_string(error), subject_of(about).at);
	}
}

static void check_order(struct surveying *s)
{
	for (size_t i = 0; i < s->chain.num; i++)
		if (i >= s->bundle.num || X509_cmp(s->chain.at[i], s->bundle.at[i]) != 0) {
			survey_add(s->survey, FINDING_chain_order, "number %zu should be %s", i + 1,
			    subject_of(s->chain.at[i]).at);
			return;
		}
}

static bool is_again(const struct bundle *bundle, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (X509_cmp(bundle->at[i], bundle->at[index]) == 0)
			return true;
	return false;
}

static void check_needless(struct surveying *s)
{
	for (size_t i = 0; i < s->bundle.num; i++) {
		X509 *one = s->bundle.at[i];
		if (is_again(&s->bundle, i))
			survey_add(s->survey, FINDING_needless_certificate,
			    "number %zu is there twice: %s", i + 1, subject_of(one).at);
		else if (!chain_has(&s->chain, one))
			survey_add(s->survey, FINDING_needless_certificate, "number %zu: %s", i + 1,
			    subject_of(one).at);
		else if (s->chain.root && X509_cmp(s->chain.root, one) == 0)
			survey_add(s->survey, FINDING_root_in_chain, "number %zu: %s", i + 1,
			    subject_of(one).at);
	}
}

// RSA-PSS says its hash elsewhere; nobody issues it with SHA-1.
static void check_signatures(struct surveying *s)
{
	int hash, key;
	for (size_t i = 0; i < s->chain.num; i++) {
		int nid = X509_get_signature_nid(s->chain.at[i]);
		bool is_known = OBJ_find_sigid_algs(nid, &hash, &key);
		bool counts = i > 0 || !subject_is_self_signed(s->chain.at[i]);
		if (counts && is_known && (hash == NID_md5 || hash == NID_sha1))
			survey_add(s->survey, FINDING_signature_weak, "%s, on %s", OBJ_nid2ln(nid),
			    subject_of(s->chain.at[i]).at);
	}
}

// ---- what it is for -----------------------------------------------------

static void check_purpose(struct surveying *s)
{
	uint32_t flags = X509_get_extension_flags(s->leaf);
	if (flags & EXFLAG_CA)
		survey_add(s->survey, FINDING_leaf_is_authority, "%s", subject_of(s->leaf).at);
	if (flags & EXFLAG_XKUSAGE &&
	    !(X509_get_extended_key_usage(s->leaf) & (XKU_SSL_SERVER | XKU_ANYEKU)))
		survey_add(s->survey, FINDING_not_for_servers, "%s", subject_of(s->leaf).at);
	if (flags & EXFLAG_KUSAGE && !(X509_get_key_usage(s->leaf) & KU_DIGITAL_SIGNATURE))
		survey_add(s->survey, FINDING_cannot_sign, "%s", subject_of(s->leaf).at);
	ERR_clear_error();
}

// With it on, the log says whether there is a response to be had.
static void check_staple(struct surveying *s)
{
	if (!subject_wants_staple(s->leaf) || s->question->stapling == SURVEY_STAPLING_on)
		return;
	survey_add(s->survey,
	    s->question->stapling == SURVEY_STAPLING_off ? FINDING_staple_missing
	                                                 : FINDING_staple_unknown,
	    "%s", subject_of(s->leaf).at);
}

// ---- names --------------------------------------------------------------

// Whether a wildcard among the names would have this one, if a star stood for any
// number of labels.
static bool is_near_wildcard(const GENERAL_NAMES *names, struct str name)
{
	for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
		if (one->type != GEN_DNS)
			continue;
		struct str wildcard = {(const char *)ASN1_STRING_get0_data(one->d.dNSName),
		    (size_t)ASN1_STRING_length(one->d.dNSName)};
		if (!str_starts_nocase(wildcard, STR("*.")))
			continue;
		struct str domain = str_drop(wildcard, 2), dotted = str_drop(wildcard, 1);
		if (str_eq_nocase(name, domain) ||
		    (name.len > dotted.len &&
		        str_eq_nocase(str_drop(name, name.len - dotted.len), dotted)))
			return true;
	}
	return false;
}

static void check_name(struct surveying *s, const GENERAL_NAMES *names, const char *name)
{
	char room[SURVEY_DETAIL / 2];
	struct text has = TEXT(room);
	if (subject_has_name(s->leaf, str_of(name)))
		return;
	subject_print_names(names, &has);
	survey_add(s->survey,
	    is_near_wildcard(names, str_of(name)) ? FINDING_wildcard_label : FINDING_name_missing,
	    "%s; it has %s%s", name, room, has.truncated ? "..." : "");
}

// An e-mail address, for one, is the name of no host.
static bool names_a_host(const GENERAL_NAMES *names)
{
	bool does = false;
	for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		int type = sk_GENERAL_NAME_value(names, i)->type;
		does |= type == GEN_DNS || type == GEN_IPADD;
	}
	return does;
}

static void check_names(struct surveying *s)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(s->leaf, NID_subject_alt_name, NULL, NULL);
	bool has_any = names_a_host(names);
	if (!has_any)
		survey_add(s->survey, FINDING_no_names, "%s", subject_of(s->leaf).at);
	for (size_t i = 0; has_any && i < s->question->num_names; i++)
		check_name(s, names, s->question->names[i]);
	if (!s->question->num_names)
		survey_add(s->survey, FINDING_names_unknown, "%s", s->question->chain_path);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
}

// ---- all of it ----------------------------------------------------------

static check_fn *const checks[] = {check_key_mismatch, check_taken, check_key_exposed,
    check_key_replaceable, check_keys, check_times, check_lifetime, check_issuer_times, check_trust,
    check_order, check_signatures, check_needless, check_purpose, check_staple, check_names};

// Clients go up the chain only as far as to the first that they know.
static void find_authority(struct surveying *s)
{
	for (size_t i = 0; i < s->chain.num && !s->authority; i++)
		s->authority =
		    authorities_find_issuer(s->authorities, s->chain.at[i], s->question->now);
	if (s->authority && chain_shows(&s->chain, s->authority))
		s->authority = NULL;
}

// Where the key's certificate is not the first, it is judged all the same.
static bool load(struct surveying *s, struct text *why)
{
	const struct survey_question *question = s->question;
	const char *ca_path = question->ca_path ? question->ca_path : AUTHORITIES_OF_SYSTEM;
	if (!bundle_add_file(&s->bundle, question->chain_path, why))
		return false;
	if (question->key_path && !(s->key = private_key_load(question->key_path, why)))
		return false;
	if (!(s->authorities = authorities_load(ca_path, why)))
		return false;
	size_t index = s->key ? chain_find_leaf(&s->bundle, s->key) : 0;
	s->leaf = s->bundle.at[index < s->bundle.num ? index : 0];
	chain_build(&s->bundle, s->leaf, &s->chain);
	find_authority(s);
	return true;
}

bool survey_files(const struct survey_question *question, struct survey *out, struct text *why)
{
	struct surveying surveying = {.question = question, .survey = out};
	bool loaded = load(&surveying, why);
	for (size_t i = 0; loaded && i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](&surveying);
	bundle_done(&surveying.bundle);
	private_key_free(&surveying.key);
	authorities_free(&surveying.authorities);
	return loaded;
}

bool survey_file_has_name(const char *chain_path, const char *name)
{
	char room[512];
	struct text why = TEXT(room);
	struct bundle bundle = {.num = 0};
	bool has = bundle_add_file(&bundle, chain_path, &why) &&
	           subject_has_name(bundle.at[0], str_of(name));
	bundle_done(&bundle);
	return has;
}
