// sasl_fuzz.c: an AUTH exchange: the first byte chooses the mechanism, the first
// line is the initial response, further lines go on with it.
//
// Whatever the client sends: no exchange is endless, a claim is one that can be
// sent to a store as it is, and a refusal leaves no claim.
#include <string.h>

#include "proxy/pop3/sasl.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS_MAX = 3 }; // no mechanism asks more often

static void check_part(struct str part)
{
	MUST(part.len <= CLAIM_PART_MAX && !str_has_control(part));
}

static void check_answer(enum sasl_result result, const struct sasl_answer *answer)
{
	struct claim *claim = answer->claim;
	if (result == SASL_CLAIM) {
		MUST(claim->kind == CLAIM_plain && claim->user.len > 0 && claim->password.at);
		check_part(claim->user);
		check_part(secret_reveal(&claim->password));
		return;
	}
	MUST(!claim->user.at && !claim->password.at);
	if (result == SASL_REFUSED)
		MUST(reply_status_of(str_take(reply_line(answer->reply), 4)) == REPLY_STATUS_err);
	else
		MUST(answer->challenge.at && answer->challenge.len < 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sasl sasl = {0};
	struct claim claim = {0};
	struct sasl_answer answer = {.claim = &claim};
	if (size < 1)
		return 0;
	struct str line, rest = {(const char *)data + 1, size - 1};
	bool more = str_cut(rest, '\n', &line, &rest);
	enum sasl_result result = sasl_begin(&sasl, data[0] % MECHANISMS, line, &answer);
	check_answer(result, &answer);
	for (unsigned steps = 1; more && result == SASL_CHALLENGE; steps++) {
		MUST(steps < STEPS_MAX);
		more = str_cut(rest, '\n', &line, &rest);
		result = sasl_continue(&sasl, line, &answer);
		check_answer(result, &answer);
	}
	sasl_done(&sasl);
	MUST(!sasl.kept.at);
	claim_done(&claim);
	return 0;
}
