// log.c: the log's lines and where they go.  See log.h.
#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/addr.h"

struct event_row {
	const char *token;
	enum log_level level;
	const char *sentence;
};

#define EVENT(token, level, sentence) [LOG_##token] = {#token, LOG_LEVEL_##level, sentence},
static const struct event_row event_rows[LOG_EVENTS] = {
#include "proxy/base/events.def"
};
#undef EVENT

static const char *const level_names[] = {
    [LOG_LEVEL_error] = "error",
    [LOG_LEVEL_warn] = "warn",
    [LOG_LEVEL_info] = "info",
    [LOG_LEVEL_debug] = "debug",
};

static const int syslog_priorities[] = {
    [LOG_LEVEL_error] = LOG_ERR,
    [LOG_LEVEL_warn] = LOG_WARNING,
    [LOG_LEVEL_info] = LOG_INFO,
    [LOG_LEVEL_debug] = LOG_DEBUG,
};

// The process's one log.
static struct {
	int fd;
	bool to_syslog;
	bool buffered;
	enum log_format format;
	enum log_level level;
	uint64_t lost; // lines that could not be written, not yet told
	bool torn;     // the last one was written in part
	size_t waiting_len;
	char waiting[PIPE_BUF];
} sink = {.fd = STDERR_FILENO, .level = LOG_LEVEL_info};

static bool is_file(struct str target)
{
	return !str_eq(target, STR("stderr")) && !str_eq(target, STR("syslog"));
}

bool log_can_open(struct str target, struct text *why)
{
	if (!is_file(target))
		return true;
	char *path = str_dup(target);
	char *folder = str_dup(target);
	bool good =
	    access(path, W_OK) == 0 || (errno == ENOENT && access(dirname(folder), W_OK) == 0);
	if (!good)
		text_addf(why, "cannot write the log file %s: %s", path, strerror(errno));
	free(path);
	free(folder);
	return good;
}

static bool open_file(struct str target, int *out_fd, struct text *why)
{
	char *path = str_dup(target);
	*out_fd =
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
	if (*out_fd < 0)
		text_addf(why, "cannot open the log file %s: %s", path, strerror(errno));
	free(path);
	return *out_fd >= 0;
}

bool log_open(struct str target, enum log_format format, enum log_level level, struct text *why)
{
	int fd = STDERR_FILENO;
	bool to_syslog = str_eq(target, STR("syslog"));
	if (is_file(target) && !open_file(target, &fd, why))
		return false;
	log_flush();
	if (sink.fd != STDERR_FILENO)
		close(sink.fd);
	if (to_syslog)
		openlog("popgate", LOG_PID, LOG_MAIL);
	sink.fd = fd;
	sink.to_syslog = to_syslog;
	sink.format = format;
	sink.level = level;
	return true;
}

void log_set_buffered(bool buffered)
{
	log_flush();
	sink.buffered = buffered;
}

int log_descriptor(void)
{
	return sink.fd;
}

bool log_wants(enum log_level level)
{
	return level <= sink.level;
}

// A pipe that nobody empties must not hold up sessions; one that can be written
// takes PIPE_BUF bytes at once.
static bool is_writable(int fd)
{
	struct pollfd wanted = {.fd = fd, .events = POLLOUT};
	return poll(&wanted, 1, 0) == 1;
}

// Writes whole lines; what the target does not take is lost and counted.  A
// line that was torn is ended before the next one.
static void write_out(const char *at, size_t len)
{
	while (len && is_writable(sink.fd)) {
		ssize_t n = write(sink.fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		sink.torn = at[n - 1] != '\n';
		at += n;
		len -= (size_t)n;
	}
	for (size_t i = 0; i < len; i++)
		sink.lost += at[i] == '\n';
}

static void finish(struct log_line *line);

static void tell_lost(void)
{
	struct log_line line;
	uint64_t lost = sink.lost;
	sink.lost = 0;
	if (sink.torn)
		write_out("\n", 1);
	log_begin(&line, LOG_log_lines_lost);
	if (line.skipped)
		return;
	log_u64(&line, "lines", lost);
	finish(&line);
	write_out(line.text.at, line.text.len);
	if (sink.lost)
		sink.lost += lost - 1;
}

void log_flush(void)
{
	size_t len = sink.waiting_len;
	sink.waiting_len = 0;
	if (!len)
		return;
	if (sink.lost)
		tell_lost();
	write_out(sink.waiting, len);
}

static void add_time(struct text *text)
{
	// One conversion a second; the rest of the stamp is the milliseconds.
	static time_t second = -1;
	static char stamp[32];
	struct timespec now;
	struct tm parts;
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != second) {
		second = now.tv_sec;
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S.", gmtime_r(&second, &parts));
	}
	unsigned ms = (unsigned)(now.tv_nsec / 1000000);
	char fraction[] = {
	    (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z'};
	text_add(text, str_of(stamp));
	text_add(text, (struct str){fraction, sizeof(fraction)});
}

static void add_unit(struct text *text, unsigned unit)
{
	text_addf(text, "\\u%04x", unit);
}

// What is beyond 16 bits is two surrogates (RFC 8259 section 7).
static void add_escaped(struct text *text, uint32_t code)
{
	if (code == '"' || code == '\\') {
		text_add_char(text, '\\');
		text_add_char(text, (char)code);
	} else if (code <= 0xffff) {
		add_unit(text, code);
	} else {
		add_unit(text, 0xd7c0 + (code >> 10));
		add_unit(text, 0xdc00 + (code & 0x3ff));
	}
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

// A peer's bytes need not be UTF-8; each that is not stands for itself.
static void add_quoted(struct text *text, struct str value)
{
	text_add_char(text, '"');
	while (value.len) {
		size_t plain = 0;
		while (plain < value.len && is_plain((unsigned char)value.at[plain]))
			plain++;
		text_add(text, str_take(value, plain));
		value = str_drop(value, plain);
		uint32_t code;
		if (!value.len)
			break;
		(void)str_take_code_point(&value, &code);
		add_escaped(text, code);
	}
	text_add_char(text, '"');
}

static bool needs_quotes(struct str value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] == ' ' || value.at[i] == '=' ||
		    !is_plain((unsigned char)value.at[i]))
			return true;
	return value.len == 0;
}

static void add_field_name(struct log_line *line, const char *field)
{
	if (sink.format == LOG_FORMAT_json) {
		text_add(&line->text, STR(",\""));
		text_add(&line->text, str_of(field));
		text_add(&line->text, STR("\":"));
	} else {
		text_add_char(&line->text, ' ');
		text_add(&line->text, str_of(field));
		text_add_char(&line->text, '=');
	}
}

// Takes a field back that did not fit, so that the line stays well formed.
static void keep_whole(struct log_line *line, size_t len_before)
{
	if (!line->text.truncated)
		return;
	line->text.len = len_before;
	line->text.at[len_before] = '\0';
}

void log_begin(struct log_line *line, enum log_event event)
{
	const struct event_row *row = &event_rows[event];
	line->skipped = !log_wants(row->level);
	if (line->skipped)
		return;
	line->text = text_in(line->room, sizeof(line->room) - sizeof(",\"cut\":true}\n"));
	if (sink.to_syslog)
		text_addf(&line->text, "%c", (char)('0' + syslog_priorities[row->level]));
	if (sink.format == LOG_FORMAT_json) {
		text_add(&line->text, STR("{\"time\":\""));
		add_time(&line->text);
		text_add(&line->text, STR("\",\"level\":\""));
		text_add(&line->text, str_of(level_names[row->level]));
		text_add(&line->text, STR("\",\"event\":\""));
		text_add(&line->text, str_of(row->token));
		text_add_char(&line->text, '"');
	} else {
		add_time(&line->text);
		text_add_char(&line->text, ' ');
		text_add(&line->text, str_of(level_names[row->level]));
		text_add_char(&line->text, ' ');
		text_add(&line->text, str_of(row->token));
	}
	if (row->level <= LOG_LEVEL_warn)
		log_str(line, "message", str_of(row->sentence));
}

void log_str(struct log_line *line, const char *field, struct str value)
{
	if (line->skipped)
		return;
	size_t len_before = line->text.len;
	add_field_name(line, field);
	if (sink.format == LOG_FORMAT_json || needs_quotes(value))
		add_quoted(&line->text, value);
	else
		text_add(&line->text, value);
	keep_whole(line, len_before);
}

void log_u64(struct log_line *line, const char *field, uint64_t value)
{
	if (line->skipped)
		return;
	size_t len_before = line->text.len;
	add_field_name(line, field);
	text_add_u64(&line->text, value);
	keep_whole(line, len_before);
}

void log_time(struct log_line *line, const char *field, int64_t seconds)
{
	char room[32] = "";
	time_t time = seconds;
	struct tm parts;
	size_t len = gmtime_r(&time, &parts)
	                 ? strftime(room, sizeof(room), "%Y-%m-%dT%H:%M:%SZ", &parts)
	                 : 0;
	log_str(line, field, (struct str){room, len});
}

void log_addr(struct log_line *line, const char *field, const struct addr *value)
{
	char room[ADDR_TEXT_SIZE];
	struct text text = TEXT(room);
	addr_print(value, &text);
	log_str(line, field, text_str(&text));
}

static void send_line(struct str line)
{
	if (sink.waiting_len + line.len > sizeof(sink.waiting))
		log_flush();
	memcpy(sink.waiting + sink.waiting_len, line.at, line.len);
	sink.waiting_len += line.len;
	if (!sink.buffered)
		log_flush();
}

// Notes what was left out, and ends the line.
static void finish(struct log_line *line)
{
	bool json = sink.format == LOG_FORMAT_json;
	bool cut = line->text.truncated;
	line->text.truncated = false;
	line->text.cap = sizeof(line->room);
	if (cut)
		text_add(&line->text, json ? STR(",\"cut\":true") : STR(" cut=true"));
	if (json)
		text_add_char(&line->text, '}');
	if (!sink.to_syslog)
		text_add_char(&line->text, '\n');
}

void log_end(struct log_line *line)
{
	if (line->skipped)
		return;
	finish(line);
	if (sink.to_syslog)
		syslog(line->room[0] - '0', "%s", line->room + 1);
	else
		send_line(text_str(&line->text));
}

void log_why(enum log_event event, const char *format, ...)
{
	char why[1024];
	struct log_line line;
	va_list args;
	va_start(args, format);
	int len = vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	log_begin(&line, event);
	log_str(&line, "why", len < 0 ? STR("") : str_of(why));
	if (!line.skipped && len >= (int)sizeof(why))
		line.text.truncated = true;
	log_end(&line);
}
