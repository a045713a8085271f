// client_name_fuzz.c: whom a client's certificate names: the first byte says which names
// count and in which order, the rest is the certificate (DER).
//
// A client can have any certificate made that its authority will sign.  Whatever stands in
// it: a name that comes out can be sent to a store and be taken apart in one way only.
#include <string.h>

#include "certs/client_name.h"
#include "tests/fuzz/fuzz.h"

static void check_name(struct str name)
{
	struct str rest = name, user, domain;
	uint32_t code;
	MUST(name.len && name.len <= CLIENT_NAME_MAX && !str_has_control(name));
	MUST(str_find(name, '\\') == name.len && str_find(name, '/') == name.len);
	MUST(str_trim(name).len == name.len);
	str_cut(name, '@', &user, &domain);
	MUST(str_trim(user).len == user.len && str_trim(domain).len == domain.len);
	while (rest.len)
		MUST(str_take_code_point(&rest, &code));
}

static void check_names(struct str der, uint8_t choice)
{
	enum client_name order[CLIENT_NAME_KINDS];
	struct client_names names;
	const char *why = NULL;
	for (size_t i = 0; i < CLIENT_NAME_KINDS; i++)
		order[i] = (choice + i) % CLIENT_NAME_KINDS;
	if (!client_names(der, order, 1 + choice / 64, &names, &why)) {
		MUST(why);
		return;
	}
	MUST(names.num && names.num <= CLIENT_NAMES_MAX);
	for (size_t i = 0; i < names.num; i++)
		check_name(names.at[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_certificate shown;
	if (size < 1)
		return 0;
	struct str der = {(const char *)data + 1, size - 1};
	check_names(der, data[0]);
	bool is_sound = client_certificate_describe(der, &shown);
	MUST(is_sound == (strlen(shown.fingerprint) == 64));
	MUST(strlen(shown.subject) < sizeof(shown.subject));
	MUST(strlen(shown.serial) < sizeof(shown.serial));
	return 0;
}
