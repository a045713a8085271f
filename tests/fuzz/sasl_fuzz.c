// sasl_fuzz.c: an AUTH exchange: the first byte chooses the mechanism and, from 128
// on, that a store makes the challenge of NTLM; the first line is the initial
// response, further lines go on with it, one of them being the store's challenge in
// base64.
//
// Whatever the client and the store say: no exchange is endless, a claim is one that
// can be sent to a store as it is, and a refusal leaves no claim.
#include <string.h>

#include <openssl/base64.h>

#include "proxy/pop3/sasl.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS_MAX = 4 }; // no mechanism asks more often

static const struct ntlm_settings ntlm = {
    .domain = {"MAIL", 4},
    .computer = {"MAIL", 4},
    .level = NTLM_LEVEL_v1,
    .channel_binding = NTLM_BINDING_allow,
    .filetime = 0x01d4f55cf64af500,
    .challenge = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
};

static const struct str certificate_users[] = {STR("anna@a"), STR("bert@a")};

static void check_part(struct str part)
{
	MUST(part.len <= CLAIM_PART_MAX && !str_has_control(part));
}

static void check_proof(const struct claim *claim, bool relayed)
{
	MUST((claim->kind == CLAIM_plain) == (claim->password.at != NULL));
	MUST((claim->kind == CLAIM_digest) == (claim->digest.challenge.at != NULL));
	MUST((claim->kind == CLAIM_ntlm) == (claim->variant != NULL));
	MUST((claim->kind == CLAIM_ntlm && !relayed) == (claim->ntlm != NULL));
	MUST((claim->kind == CLAIM_ntlm && relayed) == (claim->token.at != NULL));
	if (claim->kind == CLAIM_external)
		MUST(str_eq(claim->user, certificate_users[0]) ||
		     str_eq(claim->user, certificate_users[1]));
	if (claim->password.at)
		check_part(secret_reveal(&claim->password));
}

static void check_answer(
    enum sasl_result result, const struct sasl_answer *answer, const struct sasl_settings *settings)
{
	struct claim *claim = answer->claim;
	if (result == SASL_CLAIM) {
		MUST(claim->user.len > 0);
		check_part(claim->user);
		check_proof(claim, settings->ntlm_relayed);
		return;
	}
	MUST(!claim->user.at && !claim->password.at && !claim->ntlm && !claim->token.at);
	if (result == SASL_REFUSED)
		MUST(reply_status_of(str_take(reply_line(answer->reply), 4)) == REPLY_STATUS_err);
	else if (result == SASL_ASK)
		MUST(settings->ntlm_relayed && answer->token.len >= 16 && answer->domain.at);
	else
		MUST(answer->challenge.at && answer->challenge.len <= NTLM_MESSAGE_MAX);
}

static enum sasl_result relay(struct sasl *sasl, struct str line, struct sasl_answer *answer)
{
	uint8_t decoded[SASL_LINE_MAX];
	size_t len = 0;
	if (!EVP_DecodeBase64(decoded, &len, sizeof(decoded), (const uint8_t *)line.at, line.len))
		len = 0;
	return sasl_relay(sasl, (struct str){(const char *)decoded, len}, answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sasl sasl = {0};
	struct claim claim = {0};
	struct sasl_answer answer = {.claim = &claim};
	if (size < 1)
		return 0;
	struct sasl_settings settings = {
	    .ntlm = &ntlm,
	    .ntlm_relayed = data[0] >= 128,
	    .host = STR("mail.example"),
	    .certificate_users = certificate_users,
	    .num_certificate_users = sizeof(certificate_users) / sizeof(certificate_users[0]),
	    .is_same_user = str_eq_nocase,
	};
	struct str line, rest = {(const char *)data + 1, size - 1};
	bool more = str_cut(rest, '\n', &line, &rest);
	enum sasl_result result = sasl_begin(&sasl, &settings, data[0] % MECHANISMS, line, &answer);
	check_answer(result, &answer, &settings);
	for (unsigned steps = 1; more && (result == SASL_CHALLENGE || result == SASL_ASK);
	     steps++) {
		MUST(steps < STEPS_MAX);
		more = str_cut(rest, '\n', &line, &rest);
		result = result == SASL_ASK ? relay(&sasl, line, &answer)
		                            : sasl_continue(&sasl, line, &answer);
		check_answer(result, &answer, &settings);
	}
	sasl_done(&sasl);
	MUST(!sasl.kept.at && !sasl.ntlm);
	claim_done(&claim);
	return 0;
}
