// account.c: taking a name apart.  See account.h.
#include "backends/account.h"

#include "backends/fold.h"
#include "proxy/config/config.h"

static size_t find_separator(struct str s)
{
	size_t back = str_find(s, '\\'), slash = str_find(s, '/');
	return back < slash ? back : slash;
}

// Cuts at the first separator; false when there is none.
static bool cut(struct str s, struct str *out_head, struct str *out_tail)
{
	size_t at = find_separator(s);
	*out_head = str_take(s, at);
	*out_tail = str_drop(s, at + 1);
	return at < s.len;
}

static void take_user(struct str s, struct account *out)
{
	str_cut(s, '@', &out->user, &out->domain);
}

// "user@domain" or "user@domain/mailbox", or "user"; `head` is without the mailbox.
static bool take_address(struct str head, struct str mailbox, struct account *out)
{
	bool has_at = str_find(head, '@') < head.len;
	take_user(head, out);
	out->mailbox = mailbox;
	return !has_at || out->domain.len;
}

// "DOMAIN\user" or "DOMAIN\user\mailbox", behind the first separator.
static bool take_qualified(struct str domain, struct str rest, struct account *out)
{
	bool has_mailbox = cut(rest, &out->user, &out->mailbox);
	out->domain = domain;
	return domain.len && (!has_mailbox || out->mailbox.len);
}

static bool take_parts(struct str name, struct account *out)
{
	struct str head, rest;
	bool is_parted = cut(name, &head, &rest);
	if (is_parted && str_find(head, '@') == head.len)
		return take_qualified(head, rest, out);
	return take_address(head, rest, out) && (!is_parted || rest.len);
}

static bool has(struct str s, char c)
{
	return str_find(s, c) < s.len;
}

// Directories do not see outer blanks, so neither do we.
static bool trim(struct str *part)
{
	bool was_given = part->len > 0;
	*part = str_trim(*part);
	return part->len || !was_given;
}

bool account_parse(struct str name, struct account *out)
{
	*out = (struct account){0};
	return !str_has_control(name) && take_parts(name, out) && out->user.len &&
	       trim(&out->domain) && trim(&out->user) && trim(&out->mailbox) &&
	       !has(out->user, '@') && !has(out->domain, '@') &&
	       find_separator(out->mailbox) == out->mailbox.len;
}

bool account_is_among(const struct account *account, const struct text_list *users)
{
	for (size_t i = 0; i < users->num; i++)
		if (fold_equals(account->user, str_of(users->at[i])))
			return true;
	return false;
}

// Cuts at the first "\\", "/" or "@".
static struct str take_piece(struct str *rest)
{
	struct str piece, behind, at_piece, at_behind;
	cut(*rest, &piece, &behind);
	str_cut(*rest, '@', &at_piece, &at_behind);
	bool is_at = at_piece.len < piece.len;
	*rest = is_at ? at_behind : behind;
	return is_at ? at_piece : piece;
}

bool account_has_piece_among(struct str name, const struct text_list *users)
{
	while (name.len) {
		const struct account piece = {.user = str_trim(take_piece(&name))};
		if (account_is_among(&piece, users))
			return true;
	}
	return false;
}
