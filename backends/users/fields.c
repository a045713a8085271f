// fields.c: fields as text.  See fields.h.
#include "backends/users/fields.h"

#include <stdlib.h>

#include "backends/users/hex.h"
#include "proxy/config/types.h"
#include "proxy/pop3/ntlm/crypto.h"

_Static_assert((int)USER_NT_HASH == (int)NTLM_KEY, "one hash");

// ---- open ---------------------------------------------------------------

static bool set_enabled(struct user_record *record, struct str value, struct text *why)
{
	bool yes = !value.len || str_eq(value, STR("yes"));
	if (!yes && !str_eq(value, STR("no"))) {
		text_addf(why, "enabled: write yes or no, not %s", shown(value).at);
		return false;
	}
	record->enabled = yes;
	return true;
}

static void print_enabled(const struct user_record *record, struct text *out)
{
	text_add(out, record->enabled ? STR("yes") : STR("no"));
}

static const struct option_word *find_method(struct str name)
{
	for (const struct option_word *each = option_types[TYPE_methods].words; each->name; each++)
		if (str_eq(name, str_of(each->name)))
			return each;
	return NULL;
}

static bool add_method(struct str name, unsigned *methods, struct text *why)
{
	const struct option_word *method = find_method(name);
	struct suggestion suggestion = {.wanted = name};
	if (method && !method->refusal) {
		*methods |= (unsigned)method->value;
		return true;
	}
	for (const struct option_word *each = option_types[TYPE_methods].words; each->name; each++)
		suggestion_offer(&suggestion, str_of(each->name));
	if (method)
		text_addf(why, "methods: %s: %s", method->name, method->refusal);
	else
		text_addf(why, "methods: %s is no login method%s", shown(name).at,
		    suggestion_shown(&suggestion).at);
	return false;
}

static bool set_methods(struct user_record *record, struct str value, struct text *why)
{
	unsigned methods = 0;
	bool sound = true, more = !str_eq(value, STR("all"));
	while (sound && more) {
		struct str name;
		more = str_cut(value, ' ', &name, &value);
		sound = !name.len || add_method(name, &methods, why);
	}
	if (sound)
		record->methods = methods;
	return sound;
}

static void print_methods(const struct user_record *record, struct text *out)
{
	const struct option_word *word = option_types[TYPE_methods].words;
	size_t start = out->len;
	for (; word->name; word++)
		if (record->methods & word->value)
			text_addf(out, "%s%s", out->len > start ? " " : "", word->name);
	if (out->len == start)
		text_add(out, STR("all"));
}

static bool set_text(char **text, struct str value, const char *what, size_t max, struct text *why)
{
	if (value.len > max || str_has_control(value)) {
		text_addf(
		    why, "%s: it may have at most %zu bytes, and no control characters", what, max);
		return false;
	}
	free(*text);
	*text = value.len ? str_dup(value) : NULL;
	return true;
}

static bool set_mailbox(struct user_record *record, struct str value, struct text *why)
{
	return set_text(&record->mailbox, value, "mailbox", USER_TEXT_MAX, why);
}

static void print_mailbox(const struct user_record *record, struct text *out)
{
	text_add(out, str_of(record->mailbox));
}

static bool set_backend(struct user_record *record, struct str value, struct text *why)
{
	return set_text(&record->backend, value, "backend", USER_BACKEND_MAX, why);
}

static void print_backend(const struct user_record *record, struct text *out)
{
	text_add(out, str_of(record->backend));
}

// ---- secret -------------------------------------------------------------

static bool is_password(struct str value, const char *what, struct text *why)
{
	bool sound = value.len && value.len <= USER_TEXT_MAX && !str_has_control(value);
	if (!sound)
		text_addf(why,
		    "%s: it may have up to %d bytes, no control characters, and may not be empty",
		    what, USER_TEXT_MAX);
	return sound;
}

static bool set_password(struct user_record *record, struct str value, struct text *why)
{
	uint8_t hash[USER_NT_HASH];
	if (!is_password(value, "password", why))
		return false;
	if (!ntlm_nt_hash(value, hash)) {
		text_addf(why, "password: it is no UTF-8, or has more than %d characters",
		    NTLM_PASSWORD_MAX);
		return false;
	}
	memcpy(record->nt_hash, hash, sizeof(hash));
	record->has_nt_hash = true;
	secret_set(&record->password, value);
	explicit_bzero(hash, sizeof(hash));
	return true;
}

// What is kept of an old password would not go with a new hash.
static bool set_nt_hash(struct user_record *record, struct str value, struct text *why)
{
	uint8_t hash[USER_NT_HASH];
	bool sound = hex_read(value, hash, sizeof(hash));
	if (sound) {
		memcpy(record->nt_hash, hash, sizeof(hash));
		record->has_nt_hash = true;
		secret_done(&record->password);
	} else {
		text_addf(why, "nt_hash: an NT hash is 32 hexadecimal digits");
	}
	explicit_bzero(hash, sizeof(hash));
	return sound;
}

static void print_nt_hash(const struct user_record *record, struct text *out)
{
	if (record->has_nt_hash)
		hex_add(out, record->nt_hash, sizeof(record->nt_hash));
}

static bool set_backend_password(struct user_record *record, struct str value, struct text *why)
{
	if (!is_password(value, "backend_password", why))
		return false;
	secret_set(&record->backend_password, value);
	return true;
}

static void print_nothing(const struct user_record *record, struct text *out)
{
	(void)record;
	(void)out;
}

#define print_password print_nothing
#define print_backend_password print_nothing

// ---- the rows -----------------------------------------------------------

enum { OPEN, SECRET };

#define USER_FIELD(name, secret, how) [USER_FIELD_##name] = {#name, (secret) == SECRET, how},
const struct user_field_row user_fields[USER_FIELDS] = {
#include "backends/users/fields.def"
};
#undef USER_FIELD

#define USER_FIELD(name, ...) [USER_FIELD_##name] = {set_##name, print_##name},
static const struct {
	bool (*set)(struct user_record *record, struct str value, struct text *why);
	void (*print)(const struct user_record *record, struct text *out);
} functions[USER_FIELDS] = {
#include "backends/users/fields.def"
};
#undef USER_FIELD

bool user_field_set(
    struct user_record *record, enum user_field field, struct str value, struct text *why)
{
	return functions[field].set(record, value, why);
}

void user_field_print(const struct user_record *record, enum user_field field, struct text *out)
{
	functions[field].print(record, out);
}
