// prefixes.c: reading files of prefixes.  See prefixes.h.
//
// The file is read and not mapped: one that is cut off meanwhile would end the
// process.
#include "policy/prefixes.h"

#include <errno.h>
#include <sys/stat.h>

#include "proxy/base/buf.h"
#include "proxy/base/file.h"

enum { CHUNK = 64 * 1024, IN_SET = 1 };

static struct str without_mark(struct str text)
{
	static const struct str mark = STR("\xef\xbb\xbf");
	return str_eq(str_take(text, mark.len), mark) ? str_drop(text, mark.len) : text;
}

// The line without its end, comment and outer spaces.
static struct str content_of(struct str line)
{
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return str_trim(str_take(line, str_find(line, '#')));
}

static bool add_line(struct str line, struct table_builder *builder, struct text *why)
{
	struct addr_range range;
	if (line.len > PREFIXES_LINE_MAX) {
		text_addf(why, "the line is longer than %d bytes", PREFIXES_LINE_MAX);
		return false;
	}
	if (str_find(line, '\0') < line.len) {
		text_addf(why, "the line holds a NUL; save the file as plain text (UTF-8)");
		return false;
	}
	line = content_of(line);
	return str_is_empty(line) ||
	       (range_parse(line, &range, why) && table_builder_add(builder, &range, IN_SET, why));
}

bool prefixes_parse_text(
    struct str text, const char *name, struct table_builder *builder, struct text *why)
{
	char room[512];
	struct text problem = TEXT(room);
	struct str line, rest = without_mark(text);
	for (size_t number = 1; !str_is_empty(rest); number++) {
		str_cut(rest, '\n', &line, &rest);
		if (!add_line(line, builder, &problem)) {
			text_addf(why, "%s:%zu: %s", name, number, room);
			return false;
		}
	}
	return true;
}

// False with the reason in *why.
static bool read_all(FILE *file, struct buf *out, struct text *why)
{
	char chunk[CHUNK];
	size_t num;
	while ((num = fread(chunk, 1, sizeof(chunk), file)) > 0) {
		if (buf_add(out, (struct str){chunk, num}, PREFIXES_FILE_MAX))
			continue;
		text_addf(why, "it is larger than %d MiB, or memory is out",
		    PREFIXES_FILE_MAX / (1024 * 1024));
		return false;
	}
	if (!ferror(file))
		return true;
	text_addf(why, "cannot read it: %s", strerror(errno));
	return false;
}

// All of the file and when it was written.
static bool read_file(const char *path, struct buf *out, uint64_t *out_built, struct text *why)
{
	struct stat status;
	FILE *file = file_open(path);
	if (!file) {
		text_addf(why, "cannot open it: %s", file_problem());
		return false;
	}
	bool done = read_all(file, out, why);
	*out_built = fstat(fileno(file), &status) == 0 ? (uint64_t)status.st_mtime : 0;
	fclose(file);
	return done;
}

static bool ends_in_line_end(struct str text)
{
	return text.at && text.len && text.at[text.len - 1] == '\n';
}

// Each failure says the path by itself: parsing names the line too.
static struct table *build(const char *path, bool is_growing, struct table_builder *builder,
    struct buf *bytes, struct text *why)
{
	char room[256];
	struct text problem = TEXT(room);
	struct table *table = NULL;
	uint64_t built;
	bool is_read = read_file(path, bytes, &built, &problem);
	if (is_read && is_growing && !ends_in_line_end(buf_str(bytes))) {
		text_addf(&problem, "its last line has no end; it is being written, or cut off");
	} else if (is_read) {
		if (!prefixes_parse_text(buf_str(bytes), path, builder, why))
			return NULL;
		buf_done(bytes); // before as much again is taken
		table_builder_set_built(builder, built);
		table = table_build(builder, &problem);
	}
	if (!table)
		text_addf(why, "%s: %s", path, room);
	return table;
}

static struct table *load(const char *path, bool is_growing, uint32_t slot, struct text *why)
{
	char room[256];
	struct text problem = TEXT(room);
	struct buf bytes = {0};
	struct table_builder *builder = table_builder_new(slot, &problem);
	if (!builder) {
		text_addf(why, "%s: %s", path, room);
		return NULL;
	}
	struct table *table = build(path, is_growing, builder, &bytes, why);
	buf_done(&bytes);
	table_builder_free(&builder);
	return table;
}

struct table *prefixes_load(const char *path, uint32_t slot, struct text *why)
{
	return load(path, false, slot, why);
}

struct table *prefixes_load_growing(const char *path, uint32_t slot, struct text *why)
{
	return load(path, true, slot, why);
}
