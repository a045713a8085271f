// ntlm.h: NTLM messages for tests: published ones, and forged ones, which are
// proven by the right password whatever else is wrong with them.
#ifndef POPGATE_TESTS_KIT_NTLM_H
#define POPGATE_TESTS_KIT_NTLM_H

#include "proxy/pop3/ntlm/message.h"

// ---- [MS-NLMP] section 4.2 ----------------------------------------------

#define NLMP_V1_CHALLENGE                                                                          \
	"4e544c4d53535000020000000c000c0038000000338202e20123456789abcdef000000000000000000000000" \
	"00"                                                                                       \
	"000000060070170000000f530065007200760065007200"
#define NLMP_V1_AUTHENTICATE                                                                       \
	"4e544c4d5353500003000000180018006c00000018001800840000000c000c00480000000800080054000000" \
	"10"                                                                                       \
	"0010005c000000100010009c000000358280e20501280a0000000f44006f006d00610069006e005500730065" \
	"00"                                                                                       \
	"720043004f004d005000550054004500520098def7b87f88aa5dafe2df779688a172def11c7d5ccdef1367c4" \
	"30"                                                                                       \
	"11f30298a2ad35ece64f16331c44bdbed927841f94518822b1b3f350c8958682ecbb3e3cb7"
#define NLMP_V2_CHALLENGE                                                                          \
	"4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef000000000000000024002400" \
	"44"                                                                                       \
	"000000060070170000000f53006500720076006500720002000c0044006f006d00610069006e0001000c0053" \
	"00"                                                                                       \
	"65007200760065007200"                                                                     \
	"00000000"
#define NLMP_V2_AUTHENTICATE                                                                       \
	"4e544c4d5353500003000000180018006c00000054005400840000000c000c00480000000800080054000000" \
	"10"                                                                                       \
	"0010005c00000010001000d8000000358288e20501280a0000000f44006f006d00610069006e005500730065" \
	"00"                                                                                       \
	"720043004f004d005000550054004500520086c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa68cd" \
	"0a"                                                                                       \
	"b851e51c96aabc927bebef6a1c01010000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c" \
	"00"                                                                                       \
	"44006f006d00610069006e0001000c005300650072007600650072000000000000000000c5dad2544fc97990" \
	"94"                                                                                       \
	"ce1ce90bc9d03e"

// Not Microsoft's: the same user with time, MIC (accepted by Samba), the binding of a
// certificate whose hash is 00 01 .. 1f, and the service pop/mail.example.
#define MIC_NEGOTIATE                                                                              \
	"4e544c4d535350000100000035828ae200000000000000000000000000000000060070170000000f"
#define MIC_CHALLENGE                                                                              \
	"4e544c4d53535000020000000c000c003800000035828ae20123456789abcdef000000000000000030003000" \
	"44"                                                                                       \
	"000000060070170000000f53006500720076006500720002000c0044006f006d00610069006e0001000c0053" \
	"00"                                                                                       \
	"650072007600650072000700080000005af64cf5d40100000000"
#define MIC_AUTHENTICATE                                                                           \
	"4e544c4d5353500003000000180018007c000000a000a000940000000c000c00580000000800080064000000" \
	"10"                                                                                       \
	"0010006c000000100010003401000035828ae20501280a0000000f8a8124082a3936a99650ecee736ec60b44" \
	"00"                                                                                       \
	"6f006d00610069006e00550073006500720043004f004d005000550054004500520000000000000000000000" \
	"00"                                                                                       \
	"000000000000000000000000000e356f45e7eb426663046801970c9655010100000000000000005af64cf5d4" \
	"01"                                                                                       \
	"aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e0001000c00530065007200760065007200" \
	"07"                                                                                       \
	"00080000005af64cf5d40106000400020000000a0010008f1214c9c9cab8dc3bf866da9aba57a70900200070" \
	"00"                                                                                       \
	"6f0070002f006d00610069006c002e006500780061006d0070006c006500000000000000000052c2be883cf3" \
	"7b"                                                                                       \
	"cbaafd60713fd67bf0"
#define MIC_BINDING "8f1214c9c9cab8dc3bf866da9aba57a7"

// ---- [MS-POP3] section 4, in base64 as on the wire ----------------------

#define POP3_NEGOTIATE "TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAFASgKAAAADw=="
// Section 4.1: user "user", password "password".
#define POP3_CHALLENGE                                                                             \
	"TlRMTVNTUAACAAAAFAAUADgAAAAFgoqinziKqGYjdlEAAAAAAAAAAGQAZABMAAAABQLODgAAAA9UAEUAUwBUAFMA" \
	"RQBSAFYARQBSAAIAFABUAEUAUwBUAFMARQBSAFYARQBSAAEAFABUAEUAUwBUAFMARQBSAFYARQBSAAQAFABUAGUA" \
	"cwB0AFMAZQByAHYAZQByAAMAFABUAGUAcwB0AFMAZQByAHYAZQByAAAAAAA="
#define POP3_AUTHENTICATE                                                                          \
	"TlRMTVNTUAADAAAAGAAYAGIAAAAYABgAegAAAAAAAABIAAAACAAIAEgAAAASABIAUAAAAAAAAACSAAAABYKIogUB" \
	"KAoAAAAPdQBzAGUAcgBOAEYALQBDAEwASQBFAE4AVABKMiQ4djhcSgAAAAAAAAAAAAAAAAAAAAC7zUSgB0Auy98b" \
	"Ri6h3mwHMJfbKNtxmmo="
// Section 4.2: the same user with password "badpassword".
#define POP3_BAD_CHALLENGE                                                                         \
	"TlRMTVNTUAACAAAAFAAUADgAAAAFgoqieUWd5ES4Bi0AAAAAAAAAAGQAZABMAAAABQLODgAAAA9UAEUAUwBUAFMA" \
	"RQBSAFYARQBSAAIAFABUAEUAUwBUAFMARQBSAFYARQBSAAEAFABUAEUAUwBUAFMARQBSAFYARQBSAAQAFABUAGUA" \
	"cwB0AFMAZQByAHYAZQByAAMAFABUAGUAcwB0AFMAZQByAHYAZQByAAAAAAA="
#define POP3_BAD_AUTHENTICATE                                                                      \
	"TlRMTVNTUAADAAAAGAAYAGIAAAAYABgAegAAAAAAAABIAAAACAAIAEgAAAASABIAUAAAAAAAAACSAAAABYKIogUB" \
	"KAoAAAAPdQBzAGUAcgBOAEYALQBDAEwASQBFAE4AVAAOarJ6lZ5ZNwAAAAAAAAAAAAAAAAAAAACD9mD8jmWs4FkZ" \
	"e59/nNb1cF2HkL0CGZw="

// ---- curl's own test of POP3 with NTLM (its tests/data/test868): OEM, NTLMv2 with
// a clock at 1970, user "testuser", password "testpass" ---------------------

#define CURL_NEGOTIATE "TlRMTVNTUAABAAAABoIIAAAAAAAAAAAAAAAAAAAAAAA="
#define CURL_CHALLENGE                                                                             \
	"TlRMTVNTUAACAAAAAgACADAAAAAGgoEAc51AYVDgyNcAAAAAAAAAAG4AbgAyAAAAQ0MCAAQAQwBDAAEAEgBFAEwA" \
	"SQBTAEEAQgBFAFQASAAEABgAYwBjAC4AaQBjAGUAZABlAHYALgBuAHUAAwAsAGUAbABpAHMAYQBiAGUAdABoAC4A" \
	"YwBjAC4AaQBjAGUAZABlAHYALgBuAHUAAAAAAA=="
#define CURL_AUTHENTICATE                                                                          \
	"TlRMTVNTUAADAAAAGAAYAEAAAACeAJ4AWAAAAAAAAAD2AAAACAAIAPYAAAAIAAgA/gAAAAAAAAAAAAAABoKBAL9L" \
	"NW5+nkyHZRmyFaL/LJ4xMjM0MjIzNGUCyhgQ9hw6eWAT13EbDa0BAQAAAAAAAACAPtXesZ0BMTIzNDIyMzQAAAAA" \
	"AgAEAEMAQwABABIARQBMAEkAUwBBAEIARQBUAEgABAAYAGMAYwAuAGkAYwBlAGQAZQB2AC4AbgB1AAMALABlAGwA" \
	"aQBzAGEAYgBlAHQAaAAuAGMAYwAuAGkAYwBlAGQAZQB2AC4AbgB1AAAAAAAAAAAAdGVzdHVzZXJjdXJsaG9zdA=="

// Appends the bytes of a text in hex or base64 and returns them.  Fails the test when
// they do not fit.
struct str ntlm_from_hex(const char *hex, struct text *out);
struct str ntlm_from_base64(const char *base64, struct text *out);

// ---- forging ------------------------------------------------------------

// UTF-16 of a literal, on a machine whose numbers are little-endian as NTLM's are.
#define WIDE(literal) ((struct str){(const char *)u"" literal, sizeof(u"" literal) - 2})

enum forge_mic { FORGE_NO_MIC, FORGE_MIC, FORGE_WRONG_MIC, FORGE_MIC_WITHOUT_ROOM };
enum forge_kind { FORGE_v2, FORGE_ntlm2, FORGE_v1, FORGE_lm, FORGE_nothing, FORGE_one_zero };

// What a forged type 3 says.  Zero: anna of MAIL, NTLMv2 in Unicode, the pairs of the
// challenge, no MIC, password "secret".
struct forge {
	enum forge_kind kind;
	bool oem;
	uint32_t more_flags;         // set beside the usual ones
	struct str user, domain;     // bytes of the message; .at NULL: the usual
	struct str hashed_domain;    // UTF-16; .at NULL: as in the message
	struct str hashed_user;      // UTF-16; .at NULL: the capitals of the message's
	const char *password;        // NULL: "secret"
	struct str pairs;            // all of them; .at NULL: the challenge's
	uint32_t av_flags;           // added when not 0
	struct str binding, service; // added when .at is not NULL; service in UTF-16
	enum forge_mic mic;          // sets its flag
	bool no_key;                 // no session key, though agreed on
	size_t tail;                 // zeros behind the pairs: 4 is usual
};

// Writes it into `out` (empty), an answer to these two messages.
void forge(const struct forge *forge, struct str negotiate, struct str challenge, struct text *out);

#endif
