// line.h: cuts lines out of a stream of bytes, strictly or leniently.
//
// Pure.  Used by the session for what clients send (strictly: RFC 1939
// section 3 ends lines with CR LF and nothing else; two programs that
// disagree about where a line ends can be played against each other) and by
// the upstream dialogue for what old stores send (leniently: some end their
// lines with LF alone).
//
// Nothing is remembered between calls: the caller offers all it has not yet
// used.  Lines are short enough that looking at one again costs nothing.
#ifndef POPGATE_PROXY_POP3_LINE_H
#define POPGATE_PROXY_POP3_LINE_H

#include "proxy/base/str.h"

enum line_result {
	LINE_FOUND,
	LINE_MORE,     // no end of line yet, and none is overdue
	LINE_TOO_LONG, // more than `max` bytes, CR LF included
	LINE_BARE_LF,
	LINE_BARE_CR,
	LINE_NUL,
};

// The first line of `in`, without its end, into *out_line; the bytes it takes
// with its end into *out_used.  Both are set for LINE_FOUND only.
enum line_result line_cut_strict(struct str in, size_t max, struct str *out_line, size_t *out_used);
enum line_result line_cut_lenient(
    struct str in, size_t max, struct str *out_line, size_t *out_used);

#endif
