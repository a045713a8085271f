// ocsp_fuzz.c: an OCSP response about a certificate of ours, from a file or a responder.
//
// Whatever it is: one that is refused has a reason, and one that is believed is valid now.
#include "certs/ocsp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/kit/ocsp_sample.h"

enum { SKEW_S = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char room[256];
	struct text why = TEXT(room);
	struct ocsp_times times;
	struct ocsp_subject subject = {ocsp_sample_leaf(), ocsp_sample_issuer()};
	int64_t now = ocsp_sample_now;
	struct str response = {(const char *)data, size};
	enum ocsp_verdict verdict = ocsp_judge(response, &subject, now, &times, &why);
	MUST((verdict == OCSP_REFUSED) == (why.len > 0));
	MUST(!why.truncated);
	if (verdict != OCSP_REFUSED)
		MUST(times.this_update <= now + SKEW_S && now < times.next_update);
	return 0;
}
