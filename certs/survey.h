// survey.h: what clients will complain of in a certificate: found out before any does.
//
// Called by `popgate cert check`.  Reads files, asks no network: what DNS says is
// added by the caller, with survey_add.
#ifndef POPGATE_CERTS_SURVEY_H
#define POPGATE_CERTS_SURVEY_H

#include "proxy/base/text.h"

#define FINDING(token, ...) FINDING_##token,
enum finding_token {
#include "certs/findings.def"
	FINDINGS
};
#undef FINDING

enum { SURVEY_MAX = 128, SURVEY_DETAIL = 1024 };

struct finding_row {
	const char *token;
	bool is_error;
	const char *sentence, *effect, *step;
};

extern const struct finding_row finding_rows[FINDINGS];

struct finding {
	enum finding_token token;
	char detail[SURVEY_DETAIL]; // what it is about; "": the certificate itself
};

struct survey {
	struct finding at[SURVEY_MAX];
	size_t num;
	size_t num_errors; // those found after the list was full are counted too
};

// Whether OCSP responses are shown with the certificate.
enum survey_stapling { SURVEY_STAPLING_unknown, SURVEY_STAPLING_off, SURVEY_STAPLING_on };

struct survey_question {
	const char *chain_path;
	const char *key_path; // NULL: not looked at
	const char *ca_path;  // NULL: AUTHORITIES_OF_SYSTEM
	enum survey_stapling stapling;
	bool is_configured; // so that popgate itself must take the files as they are,
	bool is_isolated;   // and its workers must read the chain's without a private key
	const char *const *names;
	size_t num_names;
	int64_t now;       // seconds since 1970
	int64_t warning_s; // as leaf_ends_soon has it
};

// Adds to *out what is found.  False with the reason in *why when a file cannot be
// read or holds nothing of the kind.
__attribute__((warn_unused_result)) bool survey_files(
    const struct survey_question *question, struct survey *out, struct text *why);

// Whether the first certificate of the file has this name; false when there is none.
bool survey_file_has_name(const char *chain_path, const char *name);

__attribute__((format(printf, 3, 4))) void survey_add(
    struct survey *survey, enum finding_token token, const char *format, ...);

#endif
