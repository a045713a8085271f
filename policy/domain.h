// domain.h: names of the DNS: read as an administrator writes them, and one
// found below another.
//
// Used by rules (`domain`, `host`) when they are read, by the judgement for each
// reverse name, and by `popgate cert` for the names of certificates.  Names are kept as the DNS has
// them: small letters, labels of other scripts as A-labels ("xn--..."), no dot at the end.  No
// resolver is asked.
//
// Labels of other scripts go through IDNA 2008 with the mappings of UTS 46
// (libidn2), as in a browser.  A name that is ASCII already is taken as it
// is: the DNS has names that IDNA would refuse ("r3---sn.example.com").
#ifndef POPGATE_POLICY_DOMAIN_H
#define POPGATE_POLICY_DOMAIN_H

#include "proxy/base/text.h"

enum { DOMAIN_MAX = 253, DOMAIN_LABEL_MAX = 63 };

// The name as the DNS has it, on the heap.  NULL with the reason in *why when it
// is none: no labels of letters, digits, "-" and "_", too long (RFC 1035
// section 2.3.4), an address or a pattern.
char *domain_read(struct str text, struct text *why);

// The same of one host by itself, in words that are not those of rules.
char *domain_read_host(struct str text, struct text *why);

// Whether `name`, in either case and with or without a dot at its end, is the
// domain itself or lies below it: mail.example.org below example.org, and not
// badexample.org.  The domain is as domain_read gives it.
bool domain_contains(struct str domain, struct str name);

// Orders domains for domain_find.
void domain_sort(char **domains, size_t num);

// The most specific of the sorted domains that contains the name; NULL when
// none does.  Costs a binary search for each label of the name.
const char *domain_find(char *const *domains, size_t num, struct str name);

#endif
