// forms.h: what a form is, and what the readers of all forms share.
//
// Between forms.c and the form_*.c files only.  Each reader says what is wrong
// in words that begin with the option's name and end with what to write.
#ifndef POPGATE_PROXY_CONFIG_FORMS_H
#define POPGATE_PROXY_CONFIG_FORMS_H

#include "proxy/config/options.h"

struct form_row {
	bool (*read)(const struct reading *reading, union option_value *out);
	void (*print)(const struct type_row *type, const union option_value *value,
	    enum notation notation, FILE *out);
	void (*copy)(union option_value *value); // what it points to; NULL: nothing
	void (*free)(union option_value *value);
};

extern const struct form_row form_text, form_fingerprint, form_path;
extern const struct form_row form_flag, form_number, form_named_number;
extern const struct form_row form_choice, form_set, form_list;

// Tells a problem of the option's at the node; false.
__attribute__((format(printf, 3, 4))) bool form_complain(
    const struct reading *reading, struct node node, const char *format, ...);

// Tells that the node is a list, a map or nothing where it must not be; false.
bool form_complain_of_kind(const struct reading *reading, struct node node);

// The text of a node that must be one, without bytes that could break lines
// elsewhere.
bool form_read_scalar(const struct reading *reading, struct node node, struct str *out);

// Lets the type's check judge a text.
bool form_check_item(const struct reading *reading, struct node node, struct str item);

// The row of this name; NULL when there is none, or no table.
const struct option_word *form_find_word(const struct option_word *words, struct str name);

void form_print_word(const char *name, enum notation notation, FILE *out);

#endif
