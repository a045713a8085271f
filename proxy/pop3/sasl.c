// sasl.c: what all mechanisms share: base64, cancelling, the table.  See sasl.h.
#include "proxy/pop3/sasl.h"

#include <openssl/base64.h>

#define MECHANISM(token, name, claim, function) [MECHANISM_##token] = {name, claim, function},
static const struct {
	const char *name;
	enum claim_kind claim;
	sasl_step_fn *step;
} mechanisms[MECHANISMS] = {
#include "proxy/pop3/mechanisms.def"
};
#undef MECHANISM

const char *mechanism_name(enum mechanism mechanism)
{
	return mechanisms[mechanism].name;
}

enum claim_kind mechanism_claim(enum mechanism mechanism)
{
	return mechanisms[mechanism].claim;
}

enum mechanism mechanism_find(struct str name)
{
	for (enum mechanism mechanism = 0; mechanism < MECHANISMS; mechanism++)
		if (str_eq_nocase(name, str_of(mechanisms[mechanism].name)))
			return mechanism;
	return MECHANISMS;
}

static enum sasl_result take(
    struct sasl *sasl, const struct str *response, struct sasl_answer *answer)
{
	enum sasl_result result = mechanisms[sasl->mechanism].step(sasl, response, answer);
	sasl->step++;
	return result;
}

// Decodes strictly: nothing outside the alphabet, padding where it belongs.
static enum sasl_result take_base64(struct sasl *sasl, struct str line, struct sasl_answer *answer)
{
	uint8_t decoded[SASL_LINE_MAX];
	size_t len = 0;
	enum sasl_result result = SASL_REFUSED;
	answer->reply = REPLY_base64;
	if (EVP_DecodeBase64(decoded, &len, sizeof(decoded), (const uint8_t *)line.at, line.len)) {
		struct str response = {(const char *)decoded, len};
		result = take(sasl, &response, answer);
	}
	explicit_bzero(decoded, sizeof(decoded)); // also what a failed decoding left
	return result;
}

enum sasl_result sasl_begin(struct sasl *sasl, const struct sasl_settings *settings,
    enum mechanism mechanism, struct str initial, struct sasl_answer *answer)
{
	sasl_done(sasl);
	sasl->settings = settings;
	sasl->mechanism = mechanism;
	if (str_is_empty(initial))
		return take(sasl, NULL, answer);
	return take_base64(sasl, str_eq(initial, STR("=")) ? STR("") : initial, answer);
}

enum sasl_result sasl_continue(struct sasl *sasl, struct str line, struct sasl_answer *answer)
{
	if (!str_eq(line, STR("*")))
		return take_base64(sasl, line, answer);
	answer->reply = REPLY_cancelled;
	return SASL_REFUSED;
}

void sasl_done(struct sasl *sasl)
{
	secret_done(&sasl->kept);
	ntlm_exchange_free(&sasl->ntlm);
	*sasl = (struct sasl){0};
}
