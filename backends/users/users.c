// users.c: sealed records in a database.  See users.h.
//
// Beside the users there is one record of popgate's own, whose name no user can
// have: it opens with the right key only, so that a wrong one is told at once.
#include "backends/users/users.h"

#include <stdlib.h>

#include "backends/users/seal.h"
#include "proxy/base/die.h"

enum { SEALED_MAX = USER_RECORD_MAX + SEAL_OVERHEAD };

static const struct str witness_name = {"\0popgate", 8};
static const struct str witness_text = {"popgate users 1", 15};

struct users {
	struct database *database;
	struct seal *seal;
	uint8_t decoy[SEALED_MAX]; // what is opened when there is no such user
	size_t decoy_len;
	bool is_changing;
};

// A record on its way out of the database.
struct sealed {
	uint8_t bytes[SEALED_MAX];
	size_t len;
};

// ---- opening ------------------------------------------------------------

static bool is_empty(struct users *users, const char **why)
{
	struct str name, value;
	return database_next(users->database, STR(""), &name, &value, why) == DATABASE_ABSENT;
}

// Whether the key is that of the database; any is that of an empty one.
static bool check_key(struct users *users, const char **why)
{
	uint8_t plain[SEALED_MAX];
	size_t len;
	struct str sealed;
	switch (database_get(users->database, witness_name, &sealed, why)) {
	case DATABASE_FOUND: break;
	case DATABASE_FAILED: return false;
	case DATABASE_ABSENT:
		*why = "it is an LMDB database, but not one of popgate's users";
		return is_empty(users, why);
	}
	if (sealed.len <= SEALED_MAX && seal_open(users->seal, witness_name, sealed, plain, &len))
		return true;
	*why = "it was sealed with another key; put a copy of the right key file back";
	return false;
}

static void make_decoy(struct users *users)
{
	const struct user_record nobody = {.enabled = false};
	uint8_t plain[USER_RECORD_MAX];
	size_t len = user_record_encode(&nobody, plain);
	users->decoy_len =
	    seal_close(users->seal, STR(""), (struct str){(char *)plain, len}, users->decoy);
}

struct users *users_open_at(const struct database_place *place, enum database_use use,
    const uint8_t key[USERS_KEY_SIZE], struct text *why)
{
	const char *problem = NULL;
	struct database *database = database_open(place, use, why);
	if (!database)
		return NULL;
	struct users *users = xcalloc(1, sizeof(*users));
	*users = (struct users){.database = database, .seal = seal_new(key)};
	make_decoy(users);
	bool sound = database_look(database, &problem);
	if (sound) {
		sound = check_key(users, &problem);
		database_look_away(database);
	}
	if (sound)
		return users;
	text_addf(why, "%s cannot be used: %s", place->path, problem);
	users_close(&users);
	return NULL;
}

struct users *users_open(const char *path, const uint8_t key[USERS_KEY_SIZE], struct text *why)
{
	const struct database_place place = {.path = path, .size_max = USERS_SIZE_MAX};
	return users_open_at(&place, DATABASE_READ, key, why);
}

void users_close(struct users **users)
{
	if (!*users)
		return;
	database_close(&(*users)->database);
	seal_free(&(*users)->seal);
	free(*users);
	*users = NULL;
}

// ---- looking ------------------------------------------------------------

static enum users_found copy_sealed(
    struct users *users, struct str name, struct sealed *out, const char **why)
{
	struct str value;
	enum database_found found = database_get(users->database, name, &value, why);
	if (found != DATABASE_FOUND)
		return found == DATABASE_ABSENT ? USERS_UNKNOWN : USERS_UNAVAILABLE;
	if (value.len > sizeof(out->bytes)) {
		*why = "the user's record is damaged; remove the user and add it again";
		return USERS_UNAVAILABLE;
	}
	memcpy(out->bytes, value.at, value.len);
	out->len = value.len;
	return USERS_FOUND;
}

static enum users_found unseal(const struct users *users, struct str name,
    const struct sealed *sealed, struct user_record *out, const char **why)
{
	uint8_t plain[SEALED_MAX];
	size_t len = 0;
	bool opened = seal_open(
	    users->seal, name, (struct str){(const char *)sealed->bytes, sealed->len}, plain, &len);
	bool sound = opened && user_record_decode((struct str){(const char *)plain, len}, out);
	explicit_bzero(plain, sizeof(plain));
	if (sound)
		return USERS_FOUND;
	*why = "the user's record is damaged or not the user's; remove the user and add it again";
	return USERS_UNAVAILABLE;
}

// The work of opening a record, for nothing.
static void unseal_decoy(const struct users *users)
{
	struct sealed sealed = {.len = users->decoy_len};
	struct user_record record = {.enabled = false};
	const char *why;
	memcpy(sealed.bytes, users->decoy, users->decoy_len);
	(void)unseal(users, STR(""), &sealed, &record, &why);
	user_record_done(&record);
}

// A folded name as a text of the caller's.
struct folded {
	struct text name;
	char room[USER_NAME_ROOM];
};

static bool fold(struct str domain, struct str user, struct folded *out)
{
	out->name = (struct text)TEXT(out->room);
	return user_name_fold(domain, user, &out->name);
}

// The record of the first of the names that is there.  All are looked for, so that
// one that is there takes as long as one that is not.
static enum users_found find_sealed(struct users *users, const struct folded *names, size_t num,
    size_t *out_which, struct sealed *out, const char **why)
{
	enum users_found result = USERS_UNKNOWN;
	for (size_t i = num; i-- > 0;) {
		enum users_found found = copy_sealed(users, text_str(&names[i].name), out, why);
		if (found == USERS_UNKNOWN)
			continue;
		result = found;
		*out_which = i;
	}
	return result;
}

enum users_found users_look_up(struct users *users, struct str domain, struct str user,
    struct user_record *out, const char **why)
{
	struct folded names[2];
	struct sealed sealed;
	size_t which = 0, num = 0;
	*out = (struct user_record){.enabled = false};
	if (domain.len && fold(domain, user, &names[num]))
		num++;
	if (fold(STR(""), user, &names[num]))
		num++;
	if (!database_look(users->database, why))
		return USERS_UNAVAILABLE;
	enum users_found found = find_sealed(users, names, num, &which, &sealed, why);
	database_look_away(users->database);
	if (found != USERS_FOUND) {
		unseal_decoy(users);
		return found;
	}
	found = unseal(users, text_str(&names[which].name), &sealed, out, why);
	out->has_domain = found == USERS_FOUND && num == 2 && which == 0;
	return found;
}

// Outside of changes, what is committed is looked at.
static bool look(struct users *users, const char **why)
{
	return users->is_changing || database_look(users->database, why);
}

static void look_away(struct users *users)
{
	if (!users->is_changing)
		database_look_away(users->database);
}

enum users_found users_get(
    struct users *users, struct str name, struct user_record *out, const char **why)
{
	struct sealed sealed;
	*out = (struct user_record){.enabled = false};
	if (!look(users, why))
		return USERS_UNAVAILABLE;
	enum users_found found = copy_sealed(users, name, &sealed, why);
	look_away(users);
	return found == USERS_FOUND ? unseal(users, name, &sealed, out, why) : found;
}

// ---- walking ------------------------------------------------------------

static enum users_found show(struct users *users, struct users_visitor *visitor, struct str name,
    struct str value, const char **why)
{
	struct sealed sealed = {.len = value.len};
	struct user_record record = {.enabled = false};
	if (value.len > sizeof(sealed.bytes)) {
		*why = "a record is damaged";
		return USERS_UNAVAILABLE;
	}
	memcpy(sealed.bytes, value.at, value.len);
	enum users_found found = unseal(users, name, &sealed, &record, why);
	if (found == USERS_FOUND && !visitor->visit(visitor, name, &record))
		found = USERS_UNKNOWN;
	user_record_done(&record);
	return found;
}

static enum users_found walk(struct users *users, struct users_visitor *visitor, const char **why)
{
	struct str name = STR(""), value;
	for (;;) {
		enum users_found shown = USERS_FOUND;
		enum database_found found =
		    database_next(users->database, name, &name, &value, why);
		if (found == DATABASE_ABSENT)
			return USERS_FOUND;
		if (found == DATABASE_FAILED)
			return USERS_UNAVAILABLE;
		if (name.at[0])
			shown = show(users, visitor, name, value, why);
		if (shown != USERS_FOUND)
			return shown;
	}
}

enum users_found users_walk(struct users *users, struct users_visitor *visitor, const char **why)
{
	if (!look(users, why))
		return USERS_UNAVAILABLE;
	enum users_found result = walk(users, visitor, why);
	look_away(users);
	return result;
}

static bool pass_by(
    struct users_visitor *visitor, struct str name, const struct user_record *record)
{
	(void)visitor;
	(void)name;
	(void)record;
	return true;
}

bool users_try_all(struct users *users, const char **why)
{
	struct users_visitor visitor = {pass_by};
	return !database_is_short(users->database) ||
	       users_walk(users, &visitor, why) == USERS_FOUND;
}

// ---- changing -----------------------------------------------------------

static bool put(struct users *users, struct str name, struct str plain, const char **why)
{
	uint8_t sealed[SEALED_MAX];
	size_t len = seal_close(users->seal, name, plain, sealed);
	return database_put(users->database, name, (struct str){(const char *)sealed, len}, why);
}

bool users_begin(struct users *users, const char **why)
{
	struct str value;
	if (!database_begin(users->database, why))
		return false;
	enum database_found found = database_get(users->database, witness_name, &value, why);
	users->is_changing =
	    found != DATABASE_FAILED &&
	    (found == DATABASE_FOUND || put(users, witness_name, witness_text, why));
	if (!users->is_changing)
		database_abort(users->database);
	return users->is_changing;
}

bool users_put(
    struct users *users, struct str name, const struct user_record *record, const char **why)
{
	uint8_t plain[USER_RECORD_MAX];
	size_t len = user_record_encode(record, plain);
	bool done = put(users, name, (struct str){(const char *)plain, len}, why);
	explicit_bzero(plain, sizeof(plain));
	return done;
}

enum users_found users_remove(struct users *users, struct str name, const char **why)
{
	switch (database_remove(users->database, name, why)) {
	case DATABASE_FOUND: return USERS_FOUND;
	case DATABASE_ABSENT: return USERS_UNKNOWN;
	case DATABASE_FAILED: break;
	}
	return USERS_UNAVAILABLE;
}

bool users_commit(struct users *users, const char **why)
{
	users->is_changing = false;
	return database_commit(users->database, why);
}

void users_abort(struct users *users)
{
	users->is_changing = false;
	database_abort(users->database);
}
