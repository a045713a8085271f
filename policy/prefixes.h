// prefixes.h: reads a file of prefixes: one address, network or range a line,
// as range_parse reads them.
//
//     # comment
//     192.0.2.0/24       # head office
//     2001:db8::/32
//
// Lines may end in LF or CR LF, and the file may have a byte order mark, as
// editors of Windows write.  A file without any range is an empty set.  One that
// cannot be understood whole is refused whole.
#ifndef POPGATE_POLICY_PREFIXES_H
#define POPGATE_POLICY_PREFIXES_H

#include "policy/table.h"

// Bytes of a line without its end, and of a file: ten million networks and more.
enum { PREFIXES_LINE_MAX = 512, PREFIXES_FILE_MAX = 256 * 1024 * 1024 };

// Adds every range in the text with the value 1.  False with "NAME:LINE: ..." in
// *why.
__attribute__((warn_unused_result)) bool prefixes_parse_text(
    struct str text, const char *name, struct table_builder *builder, struct text *why);

// The table of a file.  NULL with the reason in *why, which begins with the path.
struct table *prefixes_load(const char *path, uint32_t slot, struct text *why);

// The same of a file that somebody may be writing at this moment: refused unless
// its last line has its end.
struct table *prefixes_load_growing(const char *path, uint32_t slot, struct text *why);

#endif
