// report.h: what each rule of a policy covers, and which rules are of no use.
//
// For `popgate check`, with the tables loaded.  Exact: all addresses of all
// rules and files are painted on one wall, and what cannot be seen any more is
// hidden.
#ifndef POPGATE_POLICY_REPORT_H
#define POPGATE_POLICY_REPORT_H

#include <stdio.h>

#include "policy/policy.h"

// Prints a line for each rule, "  rule 2, 256 IPv4 addresses: allow ip ...".  Adds to
// *warnings, each with its place, the rules that have expired or will within 30
// days, that can never match, and that change nothing.
void policy_report(const struct policy *policy, const struct tables *tables, time_t now, FILE *out,
    struct problems *warnings);

#endif
