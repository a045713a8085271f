// bundle_fuzz.c: any bytes as a file of certificates, and what is then read of them.
//
// Whatever it is: certificates or a reason but not both, no more than there is room
// for, and each can be printed, ordered and asked for names.
#include <stdio.h>

#include "certs/bundle.h"
#include "certs/chain.h"
#include "certs/describe.h"
#include "certs/subject.h"
#include "tests/fuzz/fuzz.h"

enum { SIZE_LIMIT = 64 * 1024 };

static void check_chain(const struct bundle *bundle)
{
	struct chain chain;
	chain_build(bundle, bundle->at[0], &chain);
	MUST(chain.num >= 1 && chain.num <= TLS_CHAIN_MAX && chain.num <= bundle->num);
	MUST(chain.at[0] == bundle->at[0] && chain_has(&chain, bundle->at[0]));
	MUST(!chain.root || subject_is_self_signed(chain.root));
}

static void check_printed(const struct bundle *bundle)
{
	char *printed = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&printed, &len);
	MUST(out);
	describe_bundle(bundle, 0, out);
	fclose(out);
	for (size_t i = 0; i < len; i++)
		MUST(printed[i] == '\n' ||
		     ((unsigned char)printed[i] >= 0x20 && printed[i] != 0x7f));
	free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = {(const char *)data, size};
	struct bundle bundle = {.num = 0};
	char room[512];
	struct text why = TEXT(room);
	bool sound = size <= SIZE_LIMIT && bundle_add(&bundle, bytes, &why);
	MUST(size > SIZE_LIMIT || sound == !why.len);
	MUST(bundle.num <= BUNDLE_MAX && !why.truncated && (!sound || bundle.num));
	if (sound) {
		check_chain(&bundle);
		check_printed(&bundle);
		subject_has_name(bundle.at[0], STR("mail.example.org"));
		subject_has_name(bundle.at[0], STR("192.0.2.1"));
	}
	bundle_done(&bundle);
	return 0;
}
