// cert_make.c: `popgate cert request` and `self-signed`: a new key, and what is made
// with it.  See cert_command.h.
//
// Two files come to be, or none: both are written whole beside their places first.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs/draft.h"
#include "certs/folder_lock.h"
#include "certs/issue.h"
#include "certs/naming.h"
#include "certs/private_key.h"
#include "certs/request.h"
#include "proxy/cert_command.h"

enum { DAYS = 365, DAYS_MAX = 36500 };

struct making {
	struct cert_command *command;
	char *names[VERBS_VALUES_MAX];
	char *common_name;
	struct naming naming;
	struct evp_pkey_st *key;
	struct buf key_pem, other_pem; // the other: a request or a certificate
	struct draft key_draft, other_draft;
	struct folder_lock lock;
};

// ---- whom it names ------------------------------------------------------

static const struct {
	enum name_field field;
	enum cert_option option;
} fields[] = {
    {NAME_FIELD_country, CERT_OPTION_country},
    {NAME_FIELD_state, CERT_OPTION_state},
    {NAME_FIELD_city, CERT_OPTION_city},
    {NAME_FIELD_organization, CERT_OPTION_organization},
    {NAME_FIELD_unit, CERT_OPTION_unit},
};

static bool read_name(const char *given, char **out)
{
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room);
	*out = cert_read_name(given, &why);
	return *out || verbs_complain("%s", room);
}

static bool read_naming(struct making *making)
{
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room);
	const struct cert_command *command = making->command;
	const struct verbs_values *names = &command->call.options[CERT_OPTION_name];
	const char *common_name = cert_value(command, CERT_OPTION_common_name);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		making->naming.fields[fields[i].field] = cert_value(command, fields[i].option);
	if (common_name && !read_name(common_name, &making->common_name))
		return false;
	making->naming.fields[NAME_FIELD_common_name] = making->common_name;
	for (size_t i = 0; i < names->num; i++)
		if (!read_name(names->at[i], &making->names[i]))
			return false;
	making->naming.names = (const char *const *)making->names;
	making->naming.num_names = names->num;
	return naming_check(&making->naming, &why) || verbs_complain("%s", room);
}

// ---- the files ----------------------------------------------------------

static bool are_two_files(
    const struct cert_command *command, enum cert_option other, const char *what)
{
	const char *key = cert_value(command, CERT_OPTION_key);
	return strcmp(key, cert_value(command, other)) != 0 ||
	       verbs_complain("%s cannot hold both the key and the %s; name two files", key, what);
}

static bool make_key(struct making *making)
{
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room);
	enum key_type type = (enum key_type)0;
	const char *word = cert_value(making->command, CERT_OPTION_key_type);
	if (word && !key_type_find(str_of(word), &type, &why))
		return verbs_complain("--key-type: %s", room);
	making->key = private_key_make(type);
	private_key_print(making->key, &making->key_pem);
	return true;
}

// A key whose request is not there would be of no use, and is taken away again.
static bool place_both(struct making *making, struct text *why)
{
	if (!draft_place(&making->key_draft, why))
		return false;
	if (draft_place(&making->other_draft, why))
		return true;
	unlink(making->key_draft.place);
	return false;
}

// False when others are at work there.  What they left once is removed.
static bool take_folders(
    struct making *making, const char *key_path, const char *other_path, struct text *why)
{
	char room[CERT_REASON_ROOM];
	struct text notes = TEXT(room);
	if (!folder_lock_take(&making->lock, key_path, other_path, why))
		return false;
	if (making->lock.is_held) {
		draft_sweep(key_path, &notes);
		draft_sweep(other_path, &notes);
	}
	fputs(room, stdout);
	return true;
}

static bool write_both(struct making *making, const char *other_path)
{
	static const struct stat for_all = {
	    .st_mode = 0644, .st_uid = (uid_t)-1, .st_gid = (gid_t)-1};
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room);
	const char *key_path = cert_value(making->command, CERT_OPTION_key);
	bool written =
	    take_folders(making, key_path, other_path, &why) &&
	    draft_write(&making->key_draft, key_path, buf_str(&making->key_pem), &why) &&
	    draft_write(&making->other_draft, other_path, buf_str(&making->other_pem), &why) &&
	    draft_allow(&making->other_draft, &for_all, &why) && place_both(making, &why);
	return written || verbs_complain("%s; nothing was made", room);
}

static void making_done(struct making *making)
{
	draft_done(&making->key_draft);
	draft_done(&making->other_draft);
	folder_lock_done(&making->lock);
	buf_done(&making->key_pem);
	buf_done(&making->other_pem);
	private_key_free(&making->key);
	for (size_t i = 0; i < VERBS_VALUES_MAX; i++)
		free(making->names[i]);
	free(making->common_name);
}

// ---- the verbs ----------------------------------------------------------

static bool make_request(struct making *making)
{
	const struct cert_command *command = making->command;
	if (!cert_needs(command, CERT_OPTION_key) || !cert_needs(command, CERT_OPTION_request) ||
	    !are_two_files(command, CERT_OPTION_request, "request") || !read_naming(making) ||
	    !make_key(making))
		return false;
	request_print(&making->naming, making->key, &making->other_pem);
	return write_both(making, cert_value(command, CERT_OPTION_request));
}

bool cert_request(struct cert_command *command)
{
	struct making making = {.command = command};
	bool made = make_request(&making);
	const char *key = cert_value(command, CERT_OPTION_key);
	if (made) {
		printf(
		    "private key: %s; keep it secret, nobody else needs it\n"
		    "request: %s\n"
		    "next: send the request to your authority; with the certificate it answers:\n"
		    "  popgate cert install --chain ANSWER --key ",
		    key, cert_value(command, CERT_OPTION_request));
		cert_print_shell_word(key);
		puts("");
	}
	making_done(&making);
	return made;
}

static bool read_days(const struct cert_command *command, uint64_t *out)
{
	const char *given = cert_value(command, CERT_OPTION_days);
	*out = DAYS;
	return !given || (str_to_u64(str_of(given), out) && *out >= 1 && *out <= DAYS_MAX) ||
	       verbs_complain("--days %s: write a number from 1 to %d", given, DAYS_MAX);
}

static bool make_self_signed(struct making *making)
{
	const struct cert_command *command = making->command;
	uint64_t days;
	if (!cert_needs(command, CERT_OPTION_key) || !cert_needs(command, CERT_OPTION_chain) ||
	    !are_two_files(command, CERT_OPTION_chain, "certificate") ||
	    !read_days(command, &days) || !read_naming(making) || !make_key(making))
		return false;
	issue_self_signed(
	    &making->naming, making->key, (unsigned)days, command->now, &making->other_pem);
	return write_both(making, cert_value(command, CERT_OPTION_chain));
}

bool cert_self_signed(struct cert_command *command)
{
	struct making making = {.command = command};
	bool made = make_self_signed(&making);
	if (made)
		printf(
		    "private key: %s; keep it secret, nobody else needs it\n"
		    "certificate: %s\n"
		    "It vouches for itself: every client will warn of it, or refuse it, until it "
		    "is told to trust just this one.\n"
		    "next: for real use make a request: popgate cert request\n",
		    cert_value(command, CERT_OPTION_key), cert_value(command, CERT_OPTION_chain));
	making_done(&making);
	return made;
}
