// ocsp_sample.h: the certificates that the responses in tests/fuzz/corpus/ocsp are about.
#ifndef POPGATE_TESTS_KIT_OCSP_SAMPLE_H
#define POPGATE_TESTS_KIT_OCSP_SAMPLE_H

#include "proxy/base/str.h"

// When the responses had just been made; they are good for a week.
extern const int64_t ocsp_sample_now;

struct str ocsp_sample_leaf(void);
struct str ocsp_sample_issuer(void);
struct str ocsp_sample_other(void);   // of the same issuer, without a responder's URL
struct str ocsp_sample_request(void); // what openssl asks of the leaf

#endif
