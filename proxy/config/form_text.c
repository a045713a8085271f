// form_text.c: texts, fingerprints and paths: values that are one text.  See
// forms.h.
#include "proxy/config/forms.h"

#include <stdlib.h>
#include <unistd.h>

#include "proxy/base/die.h"

static bool read_text(const struct reading *reading, union option_value *out)
{
	struct str s;
	const struct option_row *option = reading->option;
	if (!form_read_scalar(reading, reading->node, &s))
		return false;
	if (*option->least && s.len < value_bound(option->type, option->least))
		return form_complain(reading, reading->node, "must not be empty");
	if (*option->most && s.len > value_bound(option->type, option->most))
		return form_complain(
		    reading, reading->node, "must not be longer than %s bytes", option->most);
	if (!form_check_item(reading, reading->node, s))
		return false;
	out->text = str_dup(s);
	return true;
}

// JSON has what is beyond 16 bits as two surrogates (RFC 8259 section 7).
static void print_escaped(uint32_t code, enum notation notation, FILE *out)
{
	if (code <= 0xffff)
		fprintf(out, "\\u%04x", code);
	else if (notation == NOTATION_YAML)
		fprintf(out, "\\U%08x", code);
	else
		fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
}

// Beyond ASCII everything is escaped: some of it ends lines in YAML, some may
// not stand in a file at all.
void quoted_print(struct str s, enum notation notation, FILE *out)
{
	fputc('"', out);
	while (s.len) {
		uint32_t code;
		if (!str_take_code_point(&s, &code))
			code = '?'; // in the name of a folder, which may be any bytes
		if (code == '"' || code == '\\')
			fprintf(out, "\\%c", (char)code);
		else if (code >= 0x20 && code < 0x7f)
			fputc((char)code, out);
		else
			print_escaped(code, notation, out);
	}
	fputc('"', out);
}

static void print_text(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	(void)type;
	quoted_print(str_of(value->text), notation, out);
}

static void copy_text(union option_value *value)
{
	value->text = value->text ? str_dup(str_of(value->text)) : NULL;
}

static void free_text(union option_value *value)
{
	free(value->text);
}

static bool add_hex_digit(struct text *text, char c)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *found = strchr(digits, c);
	size_t value = found ? (size_t)(found - digits) : 0;
	if (found)
		text_add_char(text, digits[value < 16 ? value : value - 6]);
	return found;
}

static bool read_fingerprint(const struct reading *reading, union option_value *out)
{
	enum { DIGITS = 64 };
	char room[DIGITS + 1];
	struct text digits = TEXT(room);
	struct str s;
	bool sound = true;
	if (!form_read_scalar(reading, reading->node, &s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		sound = (s.at[i] == ':' || add_hex_digit(&digits, s.at[i])) && sound;
	if (s.len && (!sound || digits.truncated || digits.len != DIGITS))
		return form_complain(reading, reading->node,
		    "must be the SHA-256 of the certificate: %s; "
		    "see openssl x509 -noout -fingerprint -sha256",
		    type_how(reading->option->type).at);
	out->fingerprint = str_dup(text_str(&digits));
	return true;
}

// Absolute, so that neither a change of the working directory nor a copy of
// the printed configuration in another folder changes its meaning.
char *config_resolve_path(const char *config_path, struct str name)
{
	if (name.len && name.at[0] == '/')
		return str_dup(name);
	const char *slash = strrchr(config_path, '/');
	struct str folder = {config_path, slash ? (size_t)(slash - config_path) + 1 : 0};
	char *cwd = *config_path == '/' ? NULL : getcwd(NULL, 0);
	struct str start = str_of(cwd);
	size_t size = start.len + 1 + folder.len + name.len + 1;
	struct text path = text_in(xmalloc(size), size);
	text_add(&path, start);
	if (cwd)
		text_add_char(&path, '/');
	text_add(&path, folder);
	text_add(&path, name);
	free(cwd);
	return path.at;
}

static bool read_path(const struct reading *reading, union option_value *out)
{
	struct str s;
	if (!form_read_scalar(reading, reading->node, &s))
		return false;
	bool may_be_none = reading->option->fallback && !*reading->option->fallback;
	if (str_is_empty(s) && !may_be_none)
		return form_complain(reading, reading->node, "must not be empty");
	bool is_final = str_is_empty(s) || form_find_word(reading->option->type->words, s);
	out->path = is_final ? str_dup(s) : config_resolve_path(reading->path, s);
	return true;
}

const struct form_row form_text = {
    .read = read_text, .print = print_text, .copy = copy_text, .free = free_text};

const struct form_row form_fingerprint = {
    .read = read_fingerprint, .print = print_text, .copy = copy_text, .free = free_text};

const struct form_row form_path = {
    .read = read_path, .print = print_text, .copy = copy_text, .free = free_text};
