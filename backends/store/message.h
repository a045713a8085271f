// message.h: a message on its way to a client, read from its file piece by
// piece and made into POP3's multi-line form.
//
// Called by the sample store's dialogue for RETR and TOP.  A message owns the
// descriptor it was given until message_close.  It never holds more than one
// piece, so a message of a gigabyte takes no more memory than a short one.
#ifndef POPGATE_BACKENDS_STORE_MESSAGE_H
#define POPGATE_BACKENDS_STORE_MESSAGE_H

#include "proxy/base/text.h"

enum {
	MESSAGE_PIECE = 16 * 1024, // read at a time
	// Room for a piece: nothing but LF or nothing but lines of one dot
	// double it, and the closing line comes with the last one.
	MESSAGE_ROOM = 2 * MESSAGE_PIECE + 8,
};

// TOP's number of lines when all are wanted.
#define MESSAGE_ALL_LINES UINT64_MAX

struct message {
	int fd;
	uint64_t lines_left; // of the body
	bool in_body;
	bool blank; // the line so far, but for CR
	char last;  // byte sent; '\n' at the start
};

enum message_result { MESSAGE_MORE, MESSAGE_OVER, MESSAGE_FAILED };

// Takes over fd.  `lines` lines of the body are sent after the header.
struct message message_open(int fd, uint64_t lines);
void message_close(struct message *message);

// Adds the next piece to *out, which has MESSAGE_ROOM bytes free.
// MESSAGE_OVER: this was the last, the closing "." in it.  MESSAGE_FAILED:
// the file cannot be read on, and what was sent must not look complete.
enum message_result message_next(struct message *message, struct text *out);

#endif
