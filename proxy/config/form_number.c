// form_number.c: flags, numbers and numbers of which some have a name.  See
// forms.h.
#include "proxy/config/forms.h"

#include "proxy/base/die.h"

static bool read_flag(const struct reading *reading, union option_value *out)
{
	struct str s;
	if (!form_read_scalar(reading, reading->node, &s))
		return false;
	out->flag = str_eq(s, STR("true"));
	if (!out->flag && !str_eq(s, STR("false")))
		return form_complain(
		    reading, reading->node, "must be true or false, not %s", shown(s).at);
	return true;
}

static void print_flag(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	(void)type;
	(void)notation;
	fputs(value->flag ? "true" : "false", out);
}

enum number_fault { NUMBER_SOUND, NUMBER_NONE, NUMBER_WITHOUT_UNIT };

// Digits and a unit.  What is too large for 64 bits becomes the largest
// number, which is out of every range.
static enum number_fault parse_number(
    const struct option_word *units, struct str s, uint64_t *out_number)
{
	size_t num_digits = 0;
	while (num_digits < s.len && s.at[num_digits] >= '0' && s.at[num_digits] <= '9')
		num_digits++;
	struct str unit_name = str_drop(s, num_digits);
	const struct option_word *unit = form_find_word(units, unit_name);
	if (!str_to_u64(str_take(s, num_digits), out_number))
		*out_number = UINT64_MAX;
	if (!num_digits)
		return NUMBER_NONE;
	if (!unit && str_is_empty(unit_name))
		return *out_number ? NUMBER_WITHOUT_UNIT : NUMBER_SOUND;
	if (!unit)
		return NUMBER_NONE;
	if (__builtin_mul_overflow(*out_number, unit->value, out_number))
		*out_number = UINT64_MAX;
	return NUMBER_SOUND;
}

static const struct option_word bare[] = {{"", 1, NULL}, {NULL, 0, NULL}};

uint64_t value_bound(const struct type_row *type, const char *bound)
{
	uint64_t number;
	const struct option_word *units = type->form == FORM_number ? type->words : bare;
	BUG_ON(parse_number(units, str_of(bound), &number) != NUMBER_SOUND);
	return number;
}

static bool read_number_in(
    const struct reading *reading, const struct option_word *units, struct str s, uint64_t *out)
{
	const struct option_row *option = reading->option;
	struct node node = reading->node;
	enum number_fault fault = parse_number(units, s, out);
	if (fault == NUMBER_WITHOUT_UNIT)
		return form_complain(reading, node,
		    "%s has no unit; write %.*ss for seconds or %.*sm for minutes", shown(s).at,
		    STR_ARG(str_take(s, 20)), STR_ARG(str_take(s, 20)));
	if (fault == NUMBER_NONE)
		return form_complain(
		    reading, node, "must be %s, not %s", type_how(option->type).at, shown(s).at);
	if (*out < value_bound(option->type, option->least) ||
	    *out > value_bound(option->type, option->most))
		return form_complain(reading, node, "must be from %s to %s, not %s", option->least,
		    option->most, shown(s).at);
	return true;
}

static bool read_number(const struct reading *reading, union option_value *out)
{
	struct str s;
	return form_read_scalar(reading, reading->node, &s) &&
	       read_number_in(reading, reading->option->type->words, s, &out->number);
}

static void print_number(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	const struct option_word *largest = NULL;
	for (const struct option_word *unit = type->words; unit->name; unit++)
		if (value->number && value->number % unit->value == 0)
			largest = unit;
	const char *quote = notation == NOTATION_JSON && largest && *largest->name ? "\"" : "";
	fprintf(out, "%s%llu%s%s", quote,
	    (unsigned long long)(largest ? value->number / largest->value : 0),
	    largest ? largest->name : "", quote);
}

static bool read_named_number(const struct reading *reading, union option_value *out)
{
	struct str s;
	if (!form_read_scalar(reading, reading->node, &s))
		return false;
	const struct option_word *word = form_find_word(reading->option->type->words, s);
	if (!word)
		return read_number_in(reading, bare, s, &out->named_number);
	out->named_number = word->value;
	return true;
}

static void print_named_number(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	for (const struct option_word *word = type->words; word->name; word++)
		if (word->value == value->named_number) {
			form_print_word(word->name, notation, out);
			return;
		}
	fprintf(out, "%llu", (unsigned long long)value->named_number);
}

const struct form_row form_flag = {.read = read_flag, .print = print_flag};

const struct form_row form_number = {.read = read_number, .print = print_number};

const struct form_row form_named_number = {.read = read_named_number, .print = print_named_number};
