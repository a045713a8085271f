// user_files.c: `popgate user import` and `export`.  See user_command.h.
//
// An import is one change of the database: every line is read and every record
// put before anything is committed, and the first line that is wrong makes it only
// a search for more of them.
//
// Lines hold passwords: they are wiped as soon as they are read, and stdio is given
// a buffer of ours, which is wiped at the end.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backends/users/import.h"
#include "proxy/base/die.h"
#include "proxy/base/file.h"
#include "proxy/user_command.h"
#include "proxy/verbs.h"

enum { BUFFER = 64 * 1024, REASON_ROOM = 1024, TOLD_MAX = 20 };

// The names of the file so far, to find those that stand there twice: a hash table
// with open addresses, without the names themselves.
struct seen {
	struct {
		uint64_t hash;
		uint32_t line; // 0: free
	} * slots;
	size_t num_slots; // a power of two
	size_t num;
};

struct import_run {
	struct user_command *command;
	const char *path;
	FILE *file;
	struct import import;
	struct seen seen;
	uint32_t line;
	unsigned num_wrong, num_added, num_updated;
	const char *why; // of the database; NULL: all well
};

// ---- names that were seen -----------------------------------------------

// FNV-1a: who makes two names of one hash gets a wrong message and nothing else.
static uint64_t hash_of(struct str name)
{
	uint64_t hash = 0xcbf29ce484222325;
	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ (uint8_t)name.at[i]) * 0x100000001b3;
	return hash;
}

static size_t slot_of(const struct seen *seen, uint64_t hash)
{
	size_t at = hash & (seen->num_slots - 1);
	while (seen->slots[at].line && seen->slots[at].hash != hash)
		at = (at + 1) & (seen->num_slots - 1);
	return at;
}

static void grow(struct seen *seen)
{
	struct seen old = *seen;
	seen->num_slots = old.num_slots ? 2 * old.num_slots : 1024;
	seen->slots = xcalloc(seen->num_slots, sizeof(*seen->slots));
	for (size_t i = 0; i < old.num_slots; i++)
		if (old.slots[i].line)
			seen->slots[slot_of(seen, old.slots[i].hash)] = old.slots[i];
	free(old.slots);
}

// The line where the name was seen before; 0 and noted when nowhere.
static uint32_t note(struct seen *seen, struct str name, uint32_t line)
{
	if (2 * seen->num >= seen->num_slots)
		grow(seen);
	size_t at = slot_of(seen, hash_of(name));
	uint32_t before = seen->slots[at].line;
	if (before)
		return before;
	seen->slots[at].hash = hash_of(name);
	seen->slots[at].line = line;
	seen->num++;
	return 0;
}

// ---- import -------------------------------------------------------------

static void complain(struct import_run *run, const char *why)
{
	if (run->num_wrong++ < TOLD_MAX)
		fprintf(stderr, "%s:%u: %s\n", run->path, run->line, why);
}

// The record that the row is about: one that is there, or a new one.
static bool load(
    struct import_run *run, struct str name, struct user_record *record, struct text *why)
{
	bool updates = run->command->options[USER_OPTION_update];
	uint32_t before = note(&run->seen, name, run->line);
	if (before) {
		text_addf(why, "%.*s stands in line %u already", STR_ARG(name), before);
		return false;
	}
	switch (users_get(run->command->users, name, record, &run->why)) {
	case USERS_UNKNOWN:
		record->enabled = true;
		run->num_added++;
		return true;
	case USERS_FOUND:
		run->num_updated++;
		if (!updates)
			text_addf(why,
			    "there is a user %.*s already; say --update to change those who "
			    "are there",
			    STR_ARG(name));
		return updates;
	case USERS_UNAVAILABLE: break;
	}
	text_addf(why, "%s", run->why);
	return false;
}

static bool edit(struct import_run *run, const struct import_row *row, struct user_record *record,
    struct text *why)
{
	bool sets_password = row->given & 1u << USER_FIELD_password;
	if (!import_apply(row, record, why) ||
	    !user_has_backend(run->command, row->values[USER_FIELD_backend], why))
		return false;
	if (sets_password && !run->command->options[USER_OPTION_keep_password])
		secret_done(&record->password);
	return true;
}

static bool take_user(struct import_run *run, const struct import_row *row, struct text *why)
{
	char room[USER_NAME_ROOM];
	struct text name = TEXT(room);
	struct user_record record = {.enabled = false};
	if (str_find(row->name, '\\') < row->name.len || str_find(row->name, '/') < row->name.len) {
		text_addf(why, "%s: write it as user@domain", shown(row->name).at);
		return false;
	}
	if (!user_name_fold(STR(""), row->name, &name)) {
		text_addf(why, "the name is empty, too long, or no UTF-8; save the file as UTF-8");
		return false;
	}
	bool sound = load(run, text_str(&name), &record, why) && edit(run, row, &record, why);
	if (sound && !run->num_wrong &&
	    !users_put(run->command->users, text_str(&name), &record, &run->why))
		sound = false;
	user_record_done(&record);
	return sound;
}

static void take_line(struct import_run *run, char *line, size_t len)
{
	struct import_row row;
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	run->line++;
	if (len && line[len - 1] == '\r')
		len--;
	enum import_result result = import_line(&run->import, line, len, &row, &why);
	if (result == IMPORT_WRONG || (result == IMPORT_ROW && !take_user(run, &row, &why)))
		if (!run->why)
			complain(run, room);
}

// Nothing more can come of a file without columns.
static bool goes_on(const struct import_run *run)
{
	bool has_columns =
	    run->import.format != IMPORT_FORMAT_csv || run->import.num_columns || !run->num_wrong;
	return !run->why && has_columns;
}

// The next line without its end; one that is too long is cut to what tells it.
// False at the end of the file.
static bool read_line(FILE *file, char line[IMPORT_LINE_MAX + 1], size_t *out_len)
{
	size_t len = 0;
	int c;
	while ((c = getc_unlocked(file)) != EOF && c != '\n')
		if (len <= IMPORT_LINE_MAX)
			line[len++] = (char)c;
	*out_len = len;
	return len || c != EOF;
}

static bool read_lines(struct import_run *run)
{
	char line[IMPORT_LINE_MAX + 1];
	size_t len;
	while (goes_on(run) && read_line(run->file, line, &len))
		take_line(run, line, len);
	explicit_bzero(line, sizeof(line));
	if (ferror(run->file))
		return verbs_complain("%s cannot be read: %s", run->path, strerror(errno));
	return !run->num_wrong && !run->why;
}

static void tell_of_failure(const struct import_run *run)
{
	if (run->num_wrong > TOLD_MAX)
		fprintf(stderr, "%s: and %u more\n", run->path, run->num_wrong - TOLD_MAX);
	if (run->why)
		user_complain_of_database(run->command, run->why);
	verbs_complain("nothing was imported");
}

static bool import_all(struct import_run *run)
{
	struct users *users = run->command->users;
	if (!users_begin(users, &run->why)) {
		tell_of_failure(run);
		return false;
	}
	bool read = read_lines(run);
	bool done = read && users_commit(users, &run->why);
	if (!read)
		users_abort(users);
	if (done)
		printf("%u users added, %u changed\n", run->num_added, run->num_updated);
	else
		tell_of_failure(run);
	return done;
}

bool user_import(struct user_command *command)
{
	bool is_stdin = !strcmp(command->operand, "-");
	struct import_run run = {.command = command,
	    .path = is_stdin ? "standard input" : command->operand,
	    .file = is_stdin ? stdin : file_open(command->operand)};
	if (!run.file)
		return verbs_complain("%s cannot be read: %s", run.path, file_problem());
	char *buffer = xmalloc(BUFFER);
	setvbuf(run.file, buffer, _IOFBF, BUFFER);
	import_begin(&run.import,
	    command->options[USER_OPTION_smbpasswd] ? IMPORT_FORMAT_smbpasswd : IMPORT_FORMAT_csv);
	bool done = import_all(&run);
	fclose(run.file);
	explicit_bzero(buffer, BUFFER);
	free(buffer);
	free(run.seen.slots);
	return done;
}

// ---- export -------------------------------------------------------------

struct export_run {
	struct users_visitor visitor;
	bool with_hashes;
};

static bool print(struct str s)
{
	return fwrite(s.at, 1, s.len, stdout) == s.len;
}

static bool export_user(
    struct users_visitor *visitor, struct str name, const struct user_record *record)
{
	const struct export_run *run = (const struct export_run *)visitor;
	char room[IMPORT_LINE_MAX];
	struct text line = TEXT(room);
	export_line(name, record, run->with_hashes, &line);
	bool printed = print(text_str(&line));
	explicit_bzero(room, line.len);
	return printed;
}

bool user_export(struct user_command *command)
{
	struct export_run run = {{export_user}, command->options[USER_OPTION_nt_hashes] != NULL};
	char room[IMPORT_LINE_MAX];
	struct text line = TEXT(room);
	const char *why;
	export_header(run.with_hashes, &line);
	if (!print(text_str(&line)))
		return false;
	enum users_found walked = users_walk(command->users, &run.visitor, &why);
	return walked == USERS_FOUND ||
	       (walked == USERS_UNAVAILABLE && user_complain_of_database(command, why));
}
