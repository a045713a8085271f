// maildir.h: a Maildir as POP3 sees it: a numbered list of messages with sizes
// and unique ids.
//
// Called by the sample store, once for each login.  The list is a picture of
// the moment it was made: other programs may deliver, move or remove messages
// meanwhile, and then a message of the list may fail to open.  Nothing is
// changed until maildir_remove_deleted; flags and folders never are.
//
// Not done: remembering sizes between logins.  They need every message read
// once (lines are ended by CR LF on the wire and by LF in the file), which a
// real store saves itself by an index; a name that carries its size (",W=")
// saves it here too.
#ifndef POPGATE_BACKENDS_STORE_MAILDIR_H
#define POPGATE_BACKENDS_STORE_MAILDIR_H

#include "proxy/base/text.h"

// More messages are refused rather than half shown.
enum { MAILDIR_MESSAGES_MAX = 10000 };

struct maildir_message {
	char *path;    // below the Maildir: "new/NAME" or "cur/NAME"
	uint64_t size; // in octets as sent, before dots are doubled
	bool deleted;  // to be removed by maildir_remove_deleted
};

// The zero state is "none".
struct maildir {
	int fd;
	struct maildir_message *messages; // in the order of arrival
	size_t num_messages;
	size_t max_messages; // there is room for
};

// Lists the messages in new/ and cur/.  False with the reason in *why, and
// nothing to be closed, when that is no Maildir, cannot be read or holds too
// much.
__attribute__((warn_unused_result)) bool maildir_open(
    struct maildir *maildir, const char *path, struct text *why);

// Lets go of what it holds; the zero state is allowed.
void maildir_close(struct maildir *maildir);

// A descriptor to read a message from, the caller's to close; -1 with errno
// set when it cannot be had.
int maildir_open_message(const struct maildir *maildir, size_t index);

// What names the message for ever: 1 to 70 printable characters (RFC 1939
// section 7, UIDL).
void maildir_print_uid(const struct maildir *maildir, size_t index, struct text *out);

// Removes what is marked as deleted.  False when something could not be.
bool maildir_remove_deleted(struct maildir *maildir);

#endif
