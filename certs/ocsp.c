// ocsp.c: reading a response and judging it.  See ocsp.h.
//
// First the whole response is read, then the one answer in it that is about the
// certificate is looked for, then the times are judged, and only what passes all that has
// its signature verified.  So the fuzzer, which cannot sign, gets everywhere.
#include "certs/ocsp_priv.h"

#include <time.h>

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/obj.h>

#include "certs/subject.h"

enum {
	SKEW_S = 5 * 60, // by which a responder's clock may be ahead of ours
	YEAR_0 = 1900,   // of struct tm
};

#define CONTEXT(number) (CBS_ASN1_CONTEXT_SPECIFIC | (number))
#define EXPLICIT(number) (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (number))

// A SingleResponse.
struct answer {
	CBS hash; // the OID of the hash function
	CBS name, key, serial;
	enum { STATUS_good, STATUS_revoked, STATUS_unknown } status;
	bool has_next_update;
	struct ocsp_times times;
};

struct response {
	struct ocsp_signed signed_part;
	int64_t produced;
	CBS answers;
};

// ---- times --------------------------------------------------------------

static bool get_number(CBS *cbs, size_t num_digits, int *out)
{
	uint8_t digit;
	for (*out = 0; num_digits > 0; num_digits--) {
		if (!CBS_get_u8(cbs, &digit) || digit < '0' || digit > '9')
			return false;
		*out = 10 * *out + digit - '0';
	}
	return true;
}

// YYYYMMDDHHMMSSZ and nothing else (RFC 5280 section 4.1.2.5.2).
static bool get_time(CBS *cbs, int64_t *out)
{
	struct tm tm = {0};
	CBS time;
	uint8_t zone;
	if (!CBS_get_asn1(cbs, &time, CBS_ASN1_GENERALIZEDTIME) ||
	    !get_number(&time, 4, &tm.tm_year) || !get_number(&time, 2, &tm.tm_mon) ||
	    !get_number(&time, 2, &tm.tm_mday) || !get_number(&time, 2, &tm.tm_hour) ||
	    !get_number(&time, 2, &tm.tm_min) || !get_number(&time, 2, &tm.tm_sec) ||
	    !CBS_get_u8(&time, &zone) || zone != 'Z' || CBS_len(&time))
		return false;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
	    tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= YEAR_0;
	tm.tm_mon -= 1;
	*out = timegm(&tm);
	return true;
}

// ---- reading ------------------------------------------------------------

// None that must be understood: we understand none (RFC 6960 section 4.4).
static bool skip_extensions(CBS *cbs, unsigned tag)
{
	CBS wrapped, list, extension, oid;
	int is_there, critical;
	if (!CBS_get_optional_asn1(cbs, &wrapped, &is_there, tag))
		return false;
	if (!is_there)
		return true;
	if (!CBS_get_asn1(&wrapped, &list, CBS_ASN1_SEQUENCE) || CBS_len(&wrapped))
		return false;
	while (CBS_len(&list))
		if (!CBS_get_asn1(&list, &extension, CBS_ASN1_SEQUENCE) ||
		    !CBS_get_asn1(&extension, &oid, CBS_ASN1_OBJECT) ||
		    !CBS_get_optional_asn1_bool(&extension, &critical, CBS_ASN1_BOOLEAN, 0) ||
		    critical)
			return false;
	return true;
}

static bool get_status(CBS *cbs, struct answer *out)
{
	CBS content;
	out->status = CBS_peek_asn1_tag(cbs, CONTEXT(0))    ? STATUS_good
	              : CBS_peek_asn1_tag(cbs, EXPLICIT(1)) ? STATUS_revoked
	                                                    : STATUS_unknown;
	switch (out->status) {
	case STATUS_good: return CBS_get_asn1(cbs, &content, CONTEXT(0)) && !CBS_len(&content);
	case STATUS_revoked:
		return CBS_get_asn1(cbs, &content, EXPLICIT(1)) &&
		       get_time(&content, &out->times.revoked);
	case STATUS_unknown: return CBS_get_asn1(cbs, &content, CONTEXT(2)) && !CBS_len(&content);
	}
	return false;
}

static bool get_next_update(CBS *cbs, struct answer *out)
{
	CBS wrapped;
	int is_there;
	if (!CBS_get_optional_asn1(cbs, &wrapped, &is_there, EXPLICIT(0)))
		return false;
	out->has_next_update = is_there;
	return !is_there || (get_time(&wrapped, &out->times.next_update) && CBS_len(&wrapped) == 0);
}

static bool get_id(CBS *cbs, struct answer *out)
{
	CBS id, algorithm;
	return CBS_get_asn1(cbs, &id, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1(&algorithm, &out->hash, CBS_ASN1_OBJECT) &&
	       CBS_get_asn1(&id, &out->name, CBS_ASN1_OCTETSTRING) &&
	       CBS_get_asn1(&id, &out->key, CBS_ASN1_OCTETSTRING) &&
	       CBS_get_asn1_element(&id, &out->serial, CBS_ASN1_INTEGER) && !CBS_len(&id);
}

static bool get_answer(CBS *answers, struct answer *out)
{
	CBS answer;
	*out = (struct answer){.status = STATUS_unknown};
	return CBS_get_asn1(answers, &answer, CBS_ASN1_SEQUENCE) && get_id(&answer, out) &&
	       get_status(&answer, out) && get_time(&answer, &out->times.this_update) &&
	       get_next_update(&answer, out) && skip_extensions(&answer, EXPLICIT(1)) &&
	       !CBS_len(&answer);
}

// Each is of a form of its own, with its tag around it.
static bool get_responder(CBS *cbs, struct ocsp_signed *out)
{
	CBS wrapped;
	CBS_init(&out->by_name, NULL, 0);
	CBS_init(&out->by_key, NULL, 0);
	if (CBS_peek_asn1_tag(cbs, EXPLICIT(1)))
		return CBS_get_asn1(cbs, &wrapped, EXPLICIT(1)) &&
		       CBS_get_asn1_element(&wrapped, &out->by_name, CBS_ASN1_SEQUENCE) &&
		       !CBS_len(&wrapped);
	return CBS_get_asn1(cbs, &wrapped, EXPLICIT(2)) &&
	       CBS_get_asn1(&wrapped, &out->by_key, CBS_ASN1_OCTETSTRING) && !CBS_len(&wrapped);
}

// ResponseData.  There is one version, and it is the default.
static bool read_data(struct response *out)
{
	CBS element = out->signed_part.data, data, version;
	int has_version;
	uint64_t number = 0;
	return CBS_get_asn1(&element, &data, CBS_ASN1_SEQUENCE) &&
	       CBS_get_optional_asn1(&data, &version, &has_version, EXPLICIT(0)) &&
	       (!has_version || CBS_get_asn1_uint64(&version, &number)) && number == 0 &&
	       get_responder(&data, &out->signed_part) && get_time(&data, &out->produced) &&
	       CBS_get_asn1(&data, &out->answers, CBS_ASN1_SEQUENCE) &&
	       skip_extensions(&data, EXPLICIT(1)) && !CBS_len(&data);
}

// BasicOCSPResponse.
static bool read_basic(CBS *cbs, struct response *out)
{
	CBS basic, wrapped;
	struct ocsp_signed *part = &out->signed_part;
	int has_certificates;
	CBS_init(&part->certificates, NULL, 0);
	return CBS_get_asn1(cbs, &basic, CBS_ASN1_SEQUENCE) && !CBS_len(cbs) &&
	       CBS_get_asn1_element(&basic, &part->data, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1_element(&basic, &part->algorithm, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1_element(&basic, &part->signature, CBS_ASN1_BITSTRING) &&
	       CBS_get_optional_asn1(&basic, &wrapped, &has_certificates, EXPLICIT(0)) &&
	       !CBS_len(&basic) &&
	       (!has_certificates ||
	           (CBS_get_asn1(&wrapped, &part->certificates, CBS_ASN1_SEQUENCE) &&
	               !CBS_len(&wrapped))) &&
	       read_data(out);
}

static const char *name_of_status(uint8_t status)
{
	static const char *const names[] = {
	    [1] = "malformedRequest",
	    [2] = "internalError",
	    [3] = "tryLater",
	    [5] = "sigRequired",
	    [6] = "unauthorized",
	};
	const char *name = status < sizeof(names) / sizeof(names[0]) ? names[status] : NULL;
	return name ? name : "an unknown status";
}

// What is inside ResponseBytes; the only type there is.
static bool unwrap(CBS *response, CBS *out)
{
	CBS wrapped, bytes, type;
	return CBS_get_asn1(response, &wrapped, EXPLICIT(0)) && !CBS_len(response) &&
	       CBS_get_asn1(&wrapped, &bytes, CBS_ASN1_SEQUENCE) && !CBS_len(&wrapped) &&
	       CBS_get_asn1(&bytes, &type, CBS_ASN1_OBJECT) &&
	       OBJ_cbs2nid(&type) == NID_id_pkix_OCSP_basic &&
	       CBS_get_asn1(&bytes, out, CBS_ASN1_OCTETSTRING) && !CBS_len(&bytes);
}

static bool read_response(struct str der, struct response *out, struct text *why)
{
	CBS all = cbs_of(der), response, status, basic;
	uint8_t number = 0;
	bool has_status = CBS_get_asn1(&all, &response, CBS_ASN1_SEQUENCE) && !CBS_len(&all) &&
	                  CBS_get_asn1(&response, &status, CBS_ASN1_ENUMERATED) &&
	                  CBS_get_u8(&status, &number) && !CBS_len(&status);
	if (has_status && number == 0 && unwrap(&response, &basic) && read_basic(&basic, out))
		return true;
	if (has_status && number != 0)
		text_addf(why, "the responder answers %s", name_of_status(number));
	else
		text_add(why, STR("it is no OCSP response, or damaged"));
	return false;
}

// ---- judging ------------------------------------------------------------

static bool is_about(const struct answer *answer, const struct ocsp_pair *pair)
{
	struct ocsp_id id;
	int nid = OBJ_cbs2nid(&answer->hash);
	bool is_known = nid == NID_sha1 || nid == NID_sha256;
	return is_known && ocsp_id_of(pair, EVP_get_digestbynid(nid), &id) &&
	       CBS_mem_equal(&answer->serial, id.serial, id.serial_len) &&
	       CBS_mem_equal(&answer->name, id.name, id.hash_len) &&
	       CBS_mem_equal(&answer->key, id.key, id.hash_len);
}

static bool find_answer(const struct response *response, const struct ocsp_pair *pair,
    struct answer *out, struct text *why)
{
	CBS answers = response->answers;
	while (CBS_len(&answers)) {
		if (!get_answer(&answers, out)) {
			text_add(why, STR("it is no OCSP response, or damaged"));
			return false;
		}
		if (is_about(out, pair))
			return true;
	}
	text_add(why, STR("it is about another certificate"));
	return false;
}

static bool check_times(const struct answer *answer, int64_t now, struct text *why)
{
	const struct ocsp_times *times = &answer->times;
	if (!answer->has_next_update) {
		text_add(why, STR("it does not say until when it is valid (nextUpdate)"));
	} else if (times->this_update > now + SKEW_S) {
		text_add(why, STR("it is valid only from "));
		subject_print_time(times->this_update, why);
		text_add(why, STR("; look at this machine's clock"));
	} else if (times->next_update <= now) {
		text_add(why, STR("it was valid until "));
		subject_print_time(times->next_update, why);
	}
	return text_is_empty(why);
}

static enum ocsp_verdict verdict_of(const struct answer *answer, struct text *why)
{
	switch (answer->status) {
	case STATUS_good: return OCSP_GOOD;
	case STATUS_revoked: return OCSP_REVOKED;
	case STATUS_unknown: break;
	}
	text_add(why, STR("the responder does not know the certificate"));
	return OCSP_REFUSED;
}

enum ocsp_verdict ocsp_judge(struct str response, const struct ocsp_subject *subject, int64_t now,
    struct ocsp_times *out, struct text *why)
{
	struct ocsp_pair pair = {0};
	struct response found;
	struct answer answer;
	enum ocsp_verdict verdict = OCSP_REFUSED;
	if (response.len > OCSP_RESPONSE_MAX)
		text_addf(why, "it is longer than %d bytes", OCSP_RESPONSE_MAX);
	else if (ocsp_pair_open(&pair, subject, why) && read_response(response, &found, why) &&
	         find_answer(&found, &pair, &answer, why) && check_times(&answer, now, why) &&
	         ocsp_verify(&found.signed_part, pair.issuer, now, why)) {
		verdict = verdict_of(&answer, why);
		*out = answer.times;
		out->produced = found.produced;
	}
	ocsp_pair_close(&pair);
	return verdict;
}
