// domain.c: reading names and finding them.  See domain.h.
#include "policy/domain.h"

#include <idn2.h>
#include <stdlib.h>

#include "proxy/config/problems.h"

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] >= 0x80)
			return false;
	return true;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static bool is_label(struct str label, struct text *why)
{
	if (!label.len)
		text_addf(why, "it has an empty label; there is one dot between two labels");
	else if (label.len > DOMAIN_LABEL_MAX)
		text_addf(
		    why, "%s is longer than %d characters", shown(label).at, DOMAIN_LABEL_MAX);
	for (size_t i = 0; i < label.len && text_is_empty(why); i++)
		if (!is_label_char(label.at[i]))
			text_addf(why, "%s has other characters than letters, digits, - and _",
			    shown(label).at);
	return text_is_empty(why);
}

static bool is_number(struct str label)
{
	for (size_t i = 0; i < label.len; i++)
		if (!is_digit(label.at[i]))
			return false;
	return label.len;
}

// No top-level domain is a number; what ends in one is an address, or was to be one.
static bool is_name(struct str name, const char *of_number, struct text *why)
{
	struct str label = {0};
	bool more = true, sound = name.len <= DOMAIN_MAX;
	if (!sound)
		text_addf(why, "it is longer than %d characters", DOMAIN_MAX);
	while (sound && more) {
		more = str_cut(name, '.', &label, &name);
		sound = is_label(label, why);
	}
	if (!sound || !is_number(label))
		return sound;
	text_addf(why, "it ends in a number; %s", of_number);
	return false;
}

// A dot before or a star is how others write what a domain is here anyway.
static bool is_pattern(struct str text, struct text *why)
{
	struct str rest = text;
	while (rest.len && (rest.at[0] == '*' || rest.at[0] == '.'))
		rest = str_drop(rest, 1);
	if (rest.len == text.len)
		return false;
	text_addf(why, "a domain has all names below it; write %s", shown(rest).at);
	return true;
}

static char *to_ascii(struct str text, struct text *why)
{
	char *copy = str_dup(text), *ascii = NULL;
	int failed = idn2_to_ascii_8z(copy, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	free(copy);
	if (!failed)
		return ascii;
	text_addf(why, "%s", idn2_strerror(failed));
	return NULL;
}

static char *to_lower(struct str text)
{
	char *copy = str_dup(text);
	for (size_t i = 0; i < text.len; i++)
		copy[i] = lower(copy[i]);
	return copy;
}

static struct str without_last_dot(struct str name)
{
	return str_take(name, name.len - (name.len > 1 && name.at[name.len - 1] == '.'));
}

static char *read_name(struct str text, const char *of_number, struct text *why)
{
	if (str_has_control(text)) { // NUL would end the text for libidn2
		text_addf(why, "it has a control character");
		return NULL;
	}
	char *name = is_ascii(text) ? to_lower(text) : to_ascii(text, why);
	if (!name)
		return NULL;
	name[without_last_dot(str_of(name)).len] = '\0';
	if (!is_name(str_of(name), of_number, why)) {
		free(name);
		return NULL;
	}
	return name;
}

static void tell(struct str text, const char *reason, struct text *why)
{
	text_addf(why, "%s is no name: %s", shown(text).at, reason);
}

char *domain_read(struct str text, struct text *why)
{
	char room[256];
	struct text reason = TEXT(room);
	char *name = is_pattern(text, &reason)
	                 ? NULL
	                 : read_name(text, "addresses have the kind ip", &reason);
	if (!name)
		tell(text, room, why);
	return name;
}

char *domain_read_host(struct str text, struct text *why)
{
	char room[256];
	struct text reason = TEXT(room);
	char *name = read_name(text, "only addresses do, and it is none", &reason);
	if (!name)
		tell(text, room, why);
	return name;
}

bool domain_contains(struct str domain, struct str name)
{
	name = without_last_dot(name);
	if (name.len < domain.len || !str_eq_nocase(str_drop(name, name.len - domain.len), domain))
		return false;
	return name.len == domain.len || name.at[name.len - domain.len - 1] == '.';
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void domain_sort(char **domains, size_t num)
{
	if (num)
		qsort(domains, num, sizeof(*domains), compare_names);
}

const char *domain_find(char *const *domains, size_t num, struct str name)
{
	char room[DOMAIN_MAX + 1];
	name = without_last_dot(name);
	if (!num || name.len > DOMAIN_MAX)
		return NULL;
	for (size_t i = 0; i < name.len; i++)
		room[i] = lower(name.at[i]);
	room[name.len] = '\0';
	for (const char *at = room; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL) {
		char *const *found = bsearch(&at, domains, num, sizeof(*domains), compare_names);
		if (found)
			return *found;
	}
	return NULL;
}
