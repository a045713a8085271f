// forms.c: the table of forms and what their readers share.  See types.h for
// the interface, forms.h for the inner one.
#include "proxy/config/types.h"

#include "proxy/config/forms.h"

bool form_complain(const struct reading *reading, struct node node, const char *format, ...)
{
	char room[512];
	struct text text = TEXT(room);
	va_list args;
	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	problems_add(reading->problems, reading->path, node_place(node), "%s: %s",
	    reading->option->name, room);
	return false;
}

const struct option_word *form_find_word(const struct option_word *words, struct str name)
{
	for (const struct option_word *word = words; word && word->name; word++)
		if (str_eq(str_of(word->name), name))
			return word;
	return NULL;
}

bool form_complain_of_kind(const struct reading *reading, struct node node)
{
	static const char *const kinds[] = {
	    [NODE_NOTHING] = "nothing is given",
	    [NODE_TEXT] = "this is a single value",
	    [NODE_LIST] = "this is a list",
	    [NODE_MAP] =
	        "this is a map of keys and values; put a value with \": \" in double quotes",
	};
	return form_complain(reading, node, "must be %s; %s", type_how(reading->option->type).at,
	    kinds[node_kind(node)]);
}

bool form_read_scalar(const struct reading *reading, struct node node, struct str *out)
{
	if (node_kind(node) != NODE_TEXT)
		return form_complain_of_kind(reading, node);
	*out = node_text(node);
	if (str_has_control(*out))
		return form_complain(
		    reading, node, "control characters and line ends are not allowed");
	return true;
}

bool form_check_item(const struct reading *reading, struct node node, struct str item)
{
	char room[256];
	struct text why = TEXT(room);
	const struct type_row *type = reading->option->type;
	if (!type->check || type->check(item, &why))
		return true;
	return form_complain(reading, node, "%s", room);
}

void form_print_word(const char *name, enum notation notation, FILE *out)
{
	fprintf(out, notation == NOTATION_JSON ? "\"%s\"" : "%s", name);
}

static const struct form_row *const forms[FORMS] = {
    [FORM_text] = &form_text,
    [FORM_fingerprint] = &form_fingerprint,
    [FORM_path] = &form_path,
    [FORM_flag] = &form_flag,
    [FORM_number] = &form_number,
    [FORM_named_number] = &form_named_number,
    [FORM_choice] = &form_choice,
    [FORM_set] = &form_set,
    [FORM_list] = &form_list,
};

bool value_read(const struct reading *reading, union option_value *out_value)
{
	*out_value = (union option_value){.list = {0}};
	return forms[reading->option->type->form]->read(reading, out_value);
}

void value_print(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	forms[type->form]->print(type, value, notation, out);
}

union option_value value_copy(const struct type_row *type, const union option_value *value)
{
	union option_value copy = *value;
	if (forms[type->form]->copy)
		forms[type->form]->copy(&copy);
	return copy;
}

void value_free(const struct type_row *type, union option_value *value)
{
	if (forms[type->form]->free)
		forms[type->form]->free(value);
}
