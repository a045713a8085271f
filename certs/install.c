// install.c: from an authority's answer to a served pair.  See install.h.
#include "certs/install.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs/authorities.h"
#include "certs/chain.h"
#include "certs/draft.h"
#include "certs/folder_lock.h"
#include "certs/input.h"
#include "certs/kept.h"
#include "certs/load.h"
#include "certs/pem.h"
#include "certs/private_key.h"
#include "certs/spare_key.h"
#include "certs/subject.h"
#include "proxy/base/die.h"

// One of the two places, and what comes there.
struct target {
	const char *path;
	struct stat old; // st_nlink 0: nothing is there
	struct draft draft;
	bool is_changed;
	const char *kept; // what the old file's name ends in from now on
	struct draft old_draft;
	char kept_place[PATH_MAX]; // "": the old file is not kept
};

struct installing {
	const struct installation *asked;
	struct text *notes, *why;
	struct bundle bundle;
	struct evp_pkey_st *key;
	struct spare_key spare;
	struct chain chain;
	struct target chain_target, key_target;
	struct folder_lock lock;
};

static bool refuse(struct installing *in, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(struct installing *in, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_addv(in->why, format, args);
	va_end(args);
	return false;
}

// A name for messages, by value: an authority may choose one of any length.
struct printed {
	char at[400];
};

static struct printed printed(const X509_NAME *name)
{
	struct printed printed;
	struct text text = TEXT(printed.at);
	subject_print_name(name, &text);
	return printed;
}

static struct printed subject_of(const X509 *certificate)
{
	return printed(X509_get_subject_name(certificate));
}

static void note(struct installing *in, const char *what, const X509 *certificate)
{
	text_addf(in->notes, "%s: %s\n", what, subject_of(certificate).at);
}

// ---- reading ------------------------------------------------------------

static bool load(struct installing *in)
{
	const struct installation *asked = in->asked;
	for (size_t i = 0; i < asked->num_chain_paths; i++)
		if (!bundle_add_file(&in->bundle, asked->chain_paths[i], in->why))
			return false;
	spare_key_look(&in->spare, asked->key_path);
	in->key = private_key_load(asked->key_path ? asked->key_path : asked->to_key, in->why);
	return in->key;
}

// Another one of the same key is an older or newer issue of it.
static bool find_leaf(struct installing *in, X509 **out)
{
	const char *key_path = in->asked->key_path ? in->asked->key_path : in->asked->to_key;
	size_t index = chain_find_leaf(&in->bundle, in->key);
	if (index == in->bundle.num)
		return refuse(in,
		    "the private key %s belongs to no certificate in %s%s; name the key that was "
		    "made together with the request (--key)",
		    key_path, in->asked->chain_paths[0],
		    in->asked->num_chain_paths > 1 ? " and the others" : "");
	*out = in->bundle.at[index];
	for (size_t i = index + 1; i < in->bundle.num; i++)
		if (X509_check_private_key(in->bundle.at[i], in->key) &&
		    X509_cmp(*out, in->bundle.at[i]) != 0)
			return refuse(in,
			    "there are several certificates for the private key %s; leave out the "
			    "old one",
			    key_path);
	ERR_clear_error();
	return true;
}

// ---- judging ------------------------------------------------------------

static bool check_times(struct installing *in)
{
	for (size_t i = 0; i < in->chain.num; i++) {
		const X509 *one = in->chain.at[i];
		int64_t from = subject_time(X509_get0_notBefore(one));
		int64_t until = subject_time(X509_get0_notAfter(one));
		if (in->asked->now >= from && in->asked->now <= until)
			continue;
		bool is_old = in->asked->now > until;
		text_addf(in->why, "the certificate of %s %s ", subject_of(one).at,
		    is_old ? "has expired on" : "is valid only from");
		subject_print_time(is_old ? until : from, in->why);
		return refuse(in, is_old ? "; get a new one from the authority"
		                         : "; install it then, or set this machine's clock");
	}
	return true;
}

// Why this one, which has the name of the issuer, is not the issuer that is missing.
static const char *why_not(const struct installing *in, X509 *last, X509 *issuer)
{
	if (chain_has(&in->chain, issuer) && issuer != in->chain.root)
		return "it stands in the chain already, and they vouch for each other in a circle";
	if (!subject_is_authority(issuer))
		return "it may not issue any (CA:FALSE, or keyUsage without keyCertSign)";
	if (!subject_is_issued_by(last, issuer))
		return "it has another key than the one that has signed";
	if (in->asked->now > subject_time(X509_get0_notAfter(issuer)))
		return "it has expired";
	if (in->asked->now < subject_time(X509_get0_notBefore(issuer)))
		return "it is not valid yet";
	return "the chain would be too long with it";
}

// False when none of that name was given.
static bool explain_given(struct installing *in, X509 *last)
{
	const X509_NAME *wanted = X509_get_issuer_name(last);
	for (size_t i = 0; i < in->bundle.num; i++)
		if (X509_NAME_cmp(X509_get_subject_name(in->bundle.at[i]), wanted) == 0) {
			text_addf(in->why,
			    "; a certificate of that name was given, but does not count: %s",
			    why_not(in, last, in->bundle.at[i]));
			return true;
		}
	return false;
}

// The same of one that clients know.
static void explain_known(struct installing *in, const struct authorities *authorities, X509 *last)
{
	X509 *known = authorities_find_issuer(authorities, last, in->asked->now);
	if (!known)
		known = authorities_find_namesake(authorities, last);
	if (known)
		text_addf(in->why, "; an authority of that name is known, but does not count: %s",
		    why_not(in, last, known));
}

static bool complain_of_incomplete(
    struct installing *in, const struct authorities *authorities, X509 *last)
{
	char room[512];
	struct text url = TEXT(room);
	subject_print_issuer_url(last, &url);
	text_addf(in->why,
	    "the chain is incomplete: the certificate of %s is missing, who has issued %s",
	    printed(X509_get_issuer_name(last)).at, subject_of(last).at);
	if (!explain_given(in, last))
		explain_known(in, authorities, last);
	return refuse(in,
	    "%s%s; get it and add it with --chain; where this is an authority of your own, name "
	    "its file with --ca; or install nevertheless with --incomplete",
	    url.len ? "; it may be had from " : "", room);
}

// Where no chain is complete, the longest is judged, and what it lacks is told; `unknown` says
// why there are no authorities.
static bool judge_chain(
    struct installing *in, X509 *leaf, const struct authorities *authorities, const char *unknown)
{
	if (chain_find(&in->bundle, leaf, authorities, in->asked->now, &in->chain))
		return check_times(in);
	chain_build(&in->bundle, leaf, &in->chain);
	X509 *last = in->chain.at[in->chain.num - 1];
	if (!check_times(in))
		return false;
	if (!in->asked->is_incomplete_allowed)
		return authorities ? complain_of_incomplete(in, authorities, last)
		                   : refuse(in, "%s", unknown);
	note(in, "incomplete, many clients will refuse it: nobody vouches for", last);
	return true;
}

// Without the file of authorities only a root that was given vouches for a chain.
static bool find_chain(struct installing *in, X509 *leaf)
{
	char room[PATH_MAX + 256];
	struct text why = TEXT(room);
	const char *path = in->asked->ca_path ? in->asked->ca_path : AUTHORITIES_OF_SYSTEM;
	struct authorities *authorities = authorities_load(path, &why);
	bool is_good = judge_chain(in, leaf, authorities, room);
	authorities_free(&authorities);
	return is_good;
}

static void tell_left_out(struct installing *in)
{
	if (in->chain.root)
		note(in, "left out, clients have the authority themselves", in->chain.root);
	for (size_t i = 0; i < in->bundle.num; i++)
		if (!chain_has(&in->chain, in->bundle.at[i]))
			note(in, "left out, not of this chain", in->bundle.at[i]);
}

// ---- the places ---------------------------------------------------------

static bool look_at(struct installing *in, struct target *target, const char *path)
{
	target->path = path;
	if (lstat(path, &target->old) == 0)
		return S_ISREG(target->old.st_mode) ||
		       refuse(in,
		           "%s is no ordinary file, and will not be replaced; name the place with "
		           "--to-chain and --to-key",
		           path);
	target->old = (struct stat){.st_nlink = 0};
	return errno == ENOENT || refuse(in, "cannot look at %s: %s", path, strerror(errno));
}

static bool look_at_both(struct installing *in)
{
	if (!look_at(in, &in->chain_target, in->asked->to_chain) ||
	    !look_at(in, &in->key_target, in->asked->to_key))
		return false;
	const struct stat *chain = &in->chain_target.old, *key = &in->key_target.old;
	bool is_one = !strcmp(in->asked->to_chain, in->asked->to_key) ||
	              (chain->st_nlink && key->st_nlink && chain->st_ino == key->st_ino &&
	                  chain->st_dev == key->st_dev);
	return !is_one ||
	       refuse(in, "%s cannot hold both the certificate and the key; name two files",
	           in->asked->to_chain);
}

// What was there in the two places.
struct old_pair {
	struct bundle bundle;
	struct evp_pkey_st *key;
};

static void load_old(struct installing *in, struct old_pair *old)
{
	char room[512];
	struct text why = TEXT(room); // a damaged file is like none
	if (in->chain_target.old.st_nlink &&
	    !bundle_add_file(&old->bundle, in->chain_target.path, &why))
		bundle_done(&old->bundle);
	if (in->key_target.old.st_nlink)
		old->key = private_key_load(in->key_target.path, &why);
}

static void print_chain(const struct chain *chain, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	BUG_ON(!bio);
	for (size_t i = 0; i < chain->num; i++)
		BUG_ON(!PEM_write_bio_X509(bio, chain->at[i]));
	pem_take(bio, out);
}

// Byte for byte: popgate does not take all that is the same to install.
static bool is_written(const struct installing *in)
{
	char room[512];
	struct text why = TEXT(room);
	struct buf old = {0}, new = {0};
	print_chain(&in->chain, &new);
	bool is = in->chain_target.old.st_nlink &&
	          input_read(in->chain_target.path, "certificate", &old, &why) &&
	          str_eq(buf_str(&old), buf_str(&new));
	buf_done(&old);
	buf_done(&new);
	return is;
}

// What is the same already need not be written.  Returns the ending for the names of
// the old files: a pair that does not fit is not kept in the place of one that does.
static const char *compare_with_old(struct installing *in)
{
	struct old_pair old = {.key = NULL};
	load_old(in, &old);
	bool fits = old.key && old.bundle.num && chain_find_leaf(&old.bundle, old.key) == 0;
	in->chain_target.is_changed = !is_written(in);
	in->key_target.is_changed = !old.key || EVP_PKEY_cmp(in->key, old.key) != 1;
	bundle_done(&old.bundle);
	private_key_free(&old.key);
	ERR_clear_error();
	return fits ? KEPT_OLD : KEPT_UNFIT;
}

// What a file that is written here is like: as the old one, but that a key is never for
// everybody, also where it only lies beside.
static struct stat like_old(const struct installing *in, const struct target *target)
{
	bool is_key = target == &in->key_target;
	struct stat like = target->old;
	if (!like.st_nlink)
		like = (struct stat){.st_mode = is_key ? 0600 : 0644, .st_uid = -1, .st_gid = -1};
	if (is_key)
		like.st_mode &= ~(mode_t)S_IRWXO;
	return like;
}

static bool write_target(struct installing *in, struct target *target, struct str bytes)
{
	struct stat like = like_old(in, target);
	return !target->is_changed || (draft_write(&target->draft, target->path, bytes, in->why) &&
	                                  draft_allow(&target->draft, &like, in->why));
}

static bool write_both(struct installing *in)
{
	struct buf chain = {0}, key = {0};
	print_chain(&in->chain, &chain);
	private_key_print(in->key, &key);
	bool written = write_target(in, &in->chain_target, buf_str(&chain)) &&
	               write_target(in, &in->key_target, buf_str(&key));
	buf_done(&chain);
	buf_done(&key);
	return written;
}

// ---- putting them there -------------------------------------------------

// A file that stays as it is, and is no half of a pair, is none to be kept.
static bool is_to_be_kept(const struct target *target)
{
	return target->old.st_nlink && (target->is_changed || !strcmp(target->kept, KEPT_OLD));
}

// A copy, so that none of the two changes with the other from then on.
static bool copy_old(struct installing *in, struct target *target)
{
	struct text place = TEXT(target->kept_place);
	if (!is_to_be_kept(target))
		return true;
	text_addf(&place, "%s%s", target->path, target->kept);
	if (place.truncated)
		return refuse(in,
		    "cannot keep %s: its name is too long; name other places with --to-chain and "
		    "--to-key",
		    target->path);
	struct stat like = like_old(in, target);
	return draft_copy(&target->old_draft, target->kept_place, target->path, in->why) &&
	       draft_allow(&target->old_draft, &like, in->why);
}

static bool keep_old(struct installing *in, struct target *target)
{
	if (!target->kept_place[0])
		return true;
	if (!draft_replace(&target->old_draft, in->why))
		return false;
	text_addf(in->notes, "kept: %s\n", target->kept_place);
	return true;
}

static bool keep_both(struct installing *in)
{
	return keep_old(in, &in->chain_target) && keep_old(in, &in->key_target);
}

// After a failure: back to the old file, or to none.  Where there is no room for a copy of
// it, what was kept comes back itself.
static void go_back(const struct target *target)
{
	char room[PATH_MAX];
	struct text why = TEXT(room);
	struct draft draft = {.place = target->path};
	if (!target->old.st_nlink)
		unlink(target->path);
	else if (!draft_copy(&draft, target->path, target->kept_place, &why) ||
	         !draft_allow(&draft, &target->old, &why) || !draft_replace(&draft, &why))
		rename(target->kept_place, target->path);
	draft_done(&draft);
}

static bool replace_both(struct installing *in)
{
	struct target *key = &in->key_target, *chain = &in->chain_target;
	if (key->is_changed && !draft_replace(&key->draft, in->why))
		return false;
	if (!chain->is_changed || draft_replace(&chain->draft, in->why))
		return true;
	if (key->is_changed)
		go_back(key);
	return false;
}

static bool sync_folders(struct installing *in)
{
	return draft_sync_folder(in->key_target.path, in->why) &&
	       draft_sync_folder(in->chain_target.path, in->why);
}

// No signal ends the process between the first of two files and the second.
static bool in_one_go(struct installing *in, bool (*step)(struct installing *))
{
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	bool done = step(in);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return done;
}

// What the disk has no room for, or nobody may read or sync, is found out before the kept
// pair of before gives way to this one, which is kept for good before any of it is replaced:
// whatever of that a power cut undoes, there is a way back.
static bool put_in_place(struct installing *in)
{
	return copy_old(in, &in->chain_target) && copy_old(in, &in->key_target) &&
	       sync_folders(in) && in_one_go(in, keep_both) && sync_folders(in) &&
	       in_one_go(in, replace_both) && sync_folders(in);
}

static bool is_served(struct installing *in)
{
	const struct installation *asked = in->asked;
	return certs_would_serve(in->chain.at, in->chain.num, in->key, asked->chain_paths[0],
	    asked->key_path ? asked->key_path : asked->to_key, in->why);
}

static bool judge(struct installing *in)
{
	X509 *leaf = NULL;
	return look_at_both(in) && load(in) && find_leaf(in, &leaf) && find_chain(in, leaf) &&
	       is_served(in);
}

// An authority's own key is needed for more than this pair.
static void tell_spare_key(struct installing *in)
{
	const char *key = in->spare.path;
	if (subject_is_authority(in->chain.at[0]) ||
	    !spare_key_is_needless(&in->spare, &in->asked->to_key, 1) ||
	    !spare_key_is_needless(&in->spare, in->asked->needed, in->asked->num_needed))
		return;
	text_addf(in->notes,
	    "The key is in %s too; unless something else uses it there, it is needed no more: rm ",
	    key);
	text_add_shell_word(in->notes, str_of(key));
	text_add_char(in->notes, '\n');
}

static bool put(struct installing *in)
{
	in->chain_target.kept = in->key_target.kept = compare_with_old(in);
	if (in->chain_target.is_changed || in->key_target.is_changed)
		return write_both(in) && put_in_place(in);
	text_addf(in->notes, "this pair is in place already\n");
	return true;
}

// Of a place and of what is kept beside it.
static void sweep(struct installing *in, const char *path)
{
	static const char *const endings[] = {"", KEPT_OLD, KEPT_UNFIT};
	for (size_t i = 0; in->lock.is_held && i < sizeof(endings) / sizeof(endings[0]); i++) {
		char room[PATH_MAX];
		struct text place = TEXT(room);
		text_addf(&place, "%s%s", path, endings[i]);
		if (!place.truncated)
			draft_sweep(room, in->notes);
	}
}

// From the first look at the places on they are nobody else's.
static bool install(struct installing *in)
{
	if (!folder_lock_take(&in->lock, in->asked->to_chain, in->asked->to_key, in->why) ||
	    !judge(in))
		return false;
	sweep(in, in->asked->to_chain);
	sweep(in, in->asked->to_key);
	tell_left_out(in);
	if (!put(in))
		return false;
	tell_spare_key(in);
	return true;
}

static void target_done(struct target *target)
{
	draft_done(&target->draft);
	draft_done(&target->old_draft);
}

bool install_pair(const struct installation *installation, struct text *notes, struct text *why)
{
	struct installing in = {.asked = installation, .notes = notes, .why = why};
	bool installed = install(&in);
	target_done(&in.chain_target);
	target_done(&in.key_target);
	bundle_done(&in.bundle);
	private_key_free(&in.key);
	folder_lock_done(&in.lock);
	return installed;
}
