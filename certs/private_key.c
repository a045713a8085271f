// private_key.c: making, reading and writing private keys.  See private_key.h.
//
// BoringSSL wipes what it frees, also the memory of its BIOs.
#include "certs/private_key.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pem.h>

#include "certs/der.h"
#include "certs/input.h"
#include "certs/pem.h"
#include "proxy/base/die.h"
#include "proxy/config/problems.h"

enum family { FAMILY_EC = EVP_PKEY_EC, FAMILY_RSA = EVP_PKEY_RSA };

#define KEY_TYPE(name, word, family, size) {word, FAMILY_##family, size},
static const struct {
	const char *word;
	enum family family;
	int size;
} types[KEY_TYPES] = {
#include "certs/key_types.def"
};
#undef KEY_TYPE

static bool is_weak_rsa(struct str word)
{
	uint64_t bits;
	return str_starts_nocase(word, STR("rsa-")) && str_to_u64(str_drop(word, 4), &bits) &&
	       bits < RSA_BITS_MIN;
}

bool key_type_find(struct str word, enum key_type *out, struct text *why)
{
	for (int i = 0; i < KEY_TYPES; i++)
		if (str_eq(word, str_of(types[i].word))) {
			*out = (enum key_type)i;
			return true;
		}
	if (is_weak_rsa(word))
		text_addf(why, "keys of RSA below %d bits can be broken, and clients refuse them",
		    RSA_BITS_MIN);
	else
		text_addf(why, "there is no type of key %s", shown(word).at);
	for (int i = 0; i < KEY_TYPES; i++)
		text_addf(why, "%s%s",
		    !i                  ? "; take "
		    : i < KEY_TYPES - 1 ? ", "
		                        : " or ",
		    types[i].word);
	return false;
}

struct evp_pkey_st *private_key_make(enum key_type type)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(types[type].family, NULL);
	EVP_PKEY *key = NULL;
	int size = types[type].size;
	BUG_ON(!ctx || !EVP_PKEY_keygen_init(ctx));
	switch (types[type].family) {
	case FAMILY_EC: BUG_ON(!EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, size)); break;
	case FAMILY_RSA: BUG_ON(!EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, size)); break;
	}
	BUG_ON(!EVP_PKEY_keygen(ctx, &key));
	EVP_PKEY_CTX_free(ctx);
	return key;
}

// Notes that a passphrase was asked for, and gives none.
static int no_passphrase(char *room, int size, int writing, void *context)
{
	(void)room;
	(void)size;
	(void)writing;
	*(bool *)context = true;
	return 0;
}

// Why there is no key.
enum objection {
	OBJECTION_no_key,
	OBJECTION_encrypted,
	OBJECTION_pkcs12,
	OBJECTION_openssh,
	OBJECTION_unknown, // of a kind that BoringSSL does not know
	OBJECTION_damaged,
};

// What is said of it: the path stands between the first two, and once more, as a word of
// the shell's, between the other two, where there is a fourth.
static const struct {
	const char *before, *after, *end;
} sayings[] = {
    [OBJECTION_no_key] = {"",
        " holds no private key (-----BEGIN PRIVATE KEY-----); name the file that was written "
        "together with the request"},
    [OBJECTION_encrypted] = {"the private key ",
        " is encrypted; take the passphrase off (openssl pkey -in ",
        " -out NEW.key) and keep the file readable by root only"},
    [OBJECTION_pkcs12] = {"",
        " is a PKCS #12 file (.p12, .pfx); take the key out first (openssl pkcs12 -in ",
        " -nocerts -nodes -out NEW.key) and keep that readable by root only"},
    [OBJECTION_openssh] = {"the private key ",
        " is in OpenSSH's own form, which popgate does not read; change a copy of it (cp ",
        " NEW.key && ssh-keygen -p -N '' -m PKCS8 -f NEW.key) and keep that readable by root "
        "only"},
    [OBJECTION_unknown] = {"the private key ",
        " is of a kind that popgate does not know; get a certificate with a key of p256 or "
        "rsa-2048: popgate cert request"},
    [OBJECTION_damaged] = {"the private key ",
        " is cut off or damaged; take it from a backup, or get a certificate with a new one: "
        "popgate cert request"},
};

static void object(enum objection objection, const char *path, struct text *why)
{
	text_addf(why, "%s%s%s", sayings[objection].before, path, sayings[objection].after);
	if (!sayings[objection].end)
		return;
	text_add_shell_word(why, str_of(path));
	text_add(why, str_of(sayings[objection].end));
}

// What BoringSSL says of keys that are whole.
static const struct {
	int lib, reason;
	enum objection objection;
} errors[] = {
    {ERR_LIB_EVP, EVP_R_UNSUPPORTED_ALGORITHM, OBJECTION_unknown},
    {ERR_LIB_EC, EC_R_UNKNOWN_GROUP, OBJECTION_unknown},
    {ERR_LIB_PEM, PEM_R_UNSUPPORTED_ENCRYPTION, OBJECTION_encrypted},
};

// Empties BoringSSL's queue of errors.
static void take_errors(enum objection *out)
{
	uint32_t error;
	while ((error = ERR_get_error()))
		for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
			if (ERR_GET_LIB(error) == errors[i].lib &&
			    ERR_GET_REASON(error) == errors[i].reason)
				*out = errors[i].objection;
}

static BIO *bio_of(struct str bytes)
{
	BIO *bio = BIO_new_mem_buf(bytes.at, (int)bytes.len);
	BUG_ON(!bio);
	return bio;
}

static EVP_PKEY *read_key(struct str bytes, enum objection *out)
{
	const uint8_t *at = (const uint8_t *)bytes.at;
	bool is_asked = false;
	BIO *bio = bio_of(bytes);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_asked);
	take_errors(out);
	if (!key && !is_asked)
		key = d2i_AutoPrivateKey(NULL, &at, (long)bytes.len);
	take_errors(out);
	if (is_asked)
		*out = OBJECTION_encrypted;
	BIO_free(bio);
	return key;
}

// In their older form (RFC 5915): where any key may come, BoringSSL forgets what it said of one.
static void read_ec_key(struct str bytes, enum objection *out)
{
	bool is_asked = false;
	uint8_t *der = NULL;
	long len;
	BIO *bio = bio_of(bytes);
	if (PEM_bytes_read_bio(
	        &der, &len, NULL, PEM_STRING_ECPRIVATEKEY, bio, no_passphrase, &is_asked)) {
		const uint8_t *at = der;
		EC_KEY_free(d2i_ECPrivateKey(NULL, &at, len));
	}
	take_errors(out);
	OPENSSL_free(der);
	BIO_free(bio);
}

// Looks closer at what is no key, for the reason.
static enum objection judge(struct str bytes, enum objection heard)
{
	if (heard == OBJECTION_encrypted || der_is_encrypted_key(bytes))
		return OBJECTION_encrypted;
	if (der_is_pkcs12(bytes))
		return OBJECTION_pkcs12;
	if (str_has_nocase(bytes, STR("-----BEGIN OPENSSH PRIVATE KEY-----")))
		return OBJECTION_openssh;
	read_ec_key(bytes, &heard);
	bool is_damaged =
	    heard == OBJECTION_no_key && str_has_nocase(bytes, STR(" PRIVATE KEY-----"));
	return is_damaged ? OBJECTION_damaged : heard;
}

static EVP_PKEY *take_key(struct str file, const char *path, struct text *why)
{
	struct str bytes = pem_skip_mark(file);
	enum objection heard = OBJECTION_no_key;
	EVP_PKEY *key = read_key(bytes, &heard);
	if (!key)
		object(judge(bytes, heard), path, why);
	return key;
}

struct evp_pkey_st *private_key_load(const char *path, struct text *why)
{
	struct buf bytes = {0};
	EVP_PKEY *key = NULL;
	if (input_read(path, "private key", &bytes, why))
		key = take_key(buf_str(&bytes), path, why);
	buf_done(&bytes);
	return key;
}

struct evp_pkey_st *private_key_load_descriptor(int fd, const char *path, struct text *why)
{
	struct buf bytes = {0};
	EVP_PKEY *key = NULL;
	if (input_read_descriptor(fd, path, "private key", &bytes, why))
		key = take_key(buf_str(&bytes), path, why);
	buf_done(&bytes);
	return key;
}

bool private_key_is_exposed(const char *path, mode_t *out_mode)
{
	struct stat status;
	if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) ||
	    !(status.st_mode & (S_IROTH | S_IWOTH)))
		return false;
	*out_mode = status.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
	return true;
}

static bool is_open_to_all(const char *folder)
{
	struct stat status;
	return stat(folder, &status) == 0 && (status.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH;
}

// Shortens the folder, whose path has no links, to the one that is open, or to the root.
static bool find_open_folder(char *folder)
{
	bool found = is_open_to_all(folder);
	for (; !found && strcmp(folder, "/") != 0; found = is_open_to_all(folder))
		dirname(folder);
	return found;
}

bool private_key_is_replaceable(const char *path, struct text *out_folder)
{
	char named[PATH_MAX], at_link[PATH_MAX], at_file[PATH_MAX];
	struct text name = TEXT(named);
	text_add(&name, str_of(path));
	if (name.truncated || !realpath(path, at_file) || !realpath(dirname(named), at_link))
		return false;
	dirname(at_file);
	const char *found = find_open_folder(at_link)   ? at_link
	                    : find_open_folder(at_file) ? at_file
	                                                : NULL;
	text_add(out_folder, str_of(found));
	return found;
}

void private_key_print(const struct evp_pkey_st *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	BUG_ON(!bio ||
	       !PEM_write_bio_PKCS8PrivateKey(bio, (EVP_PKEY *)key, NULL, NULL, 0, NULL, NULL));
	pem_take(bio, out);
}

void private_key_free(struct evp_pkey_st **key)
{
	EVP_PKEY_free(*key);
	*key = NULL;
}
