// log.h: writes one line per event, as text or JSON, to stderr, a file or
// syslog.
//
// Used by everyone.  Each event is a row of events.def: a token that tools
// and tests may rely on, a level, and a sentence for people.  A line is built
// field by field and sent as a whole:
//
//     struct log_line line;
//     log_begin(&line, LOG_worker_died);
//     log_u64(&line, "pid", pid);
//     log_str(&line, "why", text_str(&why));
//     log_end(&line);
//
// Field values are escaped here and nowhere else; a line that outgrows its
// room loses its last fields and says so.  A `struct secret` is no field type.
//
// Lines wait in one small buffer until log_flush, so that a busy worker makes
// one system call for many sessions; pieces written are whole lines and at
// most PIPE_BUF bytes, so that lines of several processes never mix.  What
// could not be written (a full disk) is counted, and told when writing works
// again; logging never ends or delays a session.
#ifndef POPGATE_PROXY_BASE_LOG_H
#define POPGATE_PROXY_BASE_LOG_H

#include "proxy/base/text.h"

struct addr;

enum log_level { LOG_LEVEL_error, LOG_LEVEL_warn, LOG_LEVEL_info, LOG_LEVEL_debug };
enum log_format { LOG_FORMAT_text, LOG_FORMAT_json };

#define EVENT(token, level, sentence) LOG_##token,
enum log_event {
#include "proxy/base/events.def"
	LOG_EVENTS
};
#undef EVENT

enum { LOG_LINE_MAX = 2048 };

struct log_line {
	bool skipped; // its level is not wanted
	struct text text;
	char room[LOG_LINE_MAX];
};

// Where lines go from now on: "stderr", "syslog" or the path of a file to
// append to.  False with the reason in *why when the file cannot be opened;
// the former target stays.  Before the first call: text on stderr, at info.
__attribute__((warn_unused_result)) bool log_open(
    struct str target, enum log_format format, enum log_level level, struct text *why);

// Whether log_open would succeed, found out without opening or making anything.
bool log_can_open(struct str target, struct text *why);

// Keep lines until log_flush (a worker), or write each at once (the default).
void log_set_buffered(bool buffered);
void log_flush(void);

// What lines are written to; syslog has none of ours.
int log_descriptor(void);

// Whether events of this level are written at all.
bool log_wants(enum log_level level);

void log_begin(struct log_line *line, enum log_event event);
void log_str(struct log_line *line, const char *field, struct str value);
void log_u64(struct log_line *line, const char *field, uint64_t value);
// As in 2026-01-01T00:00:00Z; by unix time.  "" for a time that no calendar has.
void log_time(struct log_line *line, const char *field, int64_t seconds);
void log_addr(struct log_line *line, const char *field, const struct addr *value);
void log_end(struct log_line *line);

// An event whose only field is "why".
__attribute__((format(printf, 2, 3))) void log_why(enum log_event event, const char *format, ...);

#endif
