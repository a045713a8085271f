// outcome.h: what a verifier answers.
#ifndef POPGATE_BACKENDS_VERIFY_OUTCOME_H
#define POPGATE_BACKENDS_VERIFY_OUTCOME_H

enum outcome {
	OUTCOME_accepted,
	OUTCOME_rejected,
	OUTCOME_unknown,     // this verifier does not know the user: the next one is asked
	OUTCOME_unavailable, // it could not judge; `verify_unavailable` says whether the next one
	                     // is asked
};

#endif
