// geoip.c: a walk over the search tree of a database.  See geoip.h.
//
// The tree has a node for each bit of an address; where it ends lies the place
// of some data, the same for many networks, so the last answers are kept by
// place.  A database of IPv6 has IPv4 as ::/96, and leads other networks that
// hold an IPv4 address (6to4, Teredo, mapped ones) back to that subtree: these
// are passed over, for a client comes with the address it has.
#include "policy/geoip.h"

#include <errno.h>
#include <maxminddb.h>
#include <stdlib.h>

#include "policy/apart.h"
#include "proxy/base/die.h"
#include "proxy/base/file.h"

enum {
	V4_BITS = 32,
	V6_BITS = 128,
	V4_ROOT_BITS = V6_BITS - V4_BITS, // of ::/96
	SECONDS_MAX = 30,
	CACHE_SIZE = 1 << 16,
};

// A tree may lead to one subtree from many places, and so be far larger than its
// file.  These are some times what databases of countries and of networks have.
enum { NODES_MAX = 16 * 1024 * 1024, RANGES_MAX = 8 * 1024 * 1024 };

// Part of the tree that is still to be visited.
struct branch {
	struct ip_number first; // its first address
	unsigned bits;          // of its network
	uint8_t type;           // MMDB_RECORD_TYPE_*
	uint64_t record;
	MMDB_entry_s entry;
};

// What was found at a place; the zero state has the place 0 without a value,
// which is why places are kept with 1 added.
struct answer {
	uint64_t place;
	uint32_t value;
};

struct walk {
	MMDB_s mmdb;
	enum geoip_kind kind;
	struct table_builder *builder;
	struct branch branches[V6_BITS + 2]; // at most one is left behind on each level
	size_t num_branches;
	uint32_t num_nodes;
	bool found_any;
	struct answer cache[CACHE_SIZE];
};

// What the child is told.
struct task {
	enum geoip_kind kind;
	FILE *file;
	struct table_builder *builder;
};

// ---- data ---------------------------------------------------------------

// True with type 0 when the data have no such thing.
static bool find(MMDB_entry_s entry, const char *const *path, MMDB_entry_data_s *out)
{
	int status = MMDB_aget_value(&entry, out, path);
	if (status == MMDB_SUCCESS && out->has_data)
		return true;
	*out = (MMDB_entry_data_s){0};
	return status == MMDB_SUCCESS || status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR;
}

static bool is_capital(char c)
{
	return c >= 'A' && c <= 'Z';
}

// Two capital letters as a number; 0 for anything else.
static uint32_t code_of(const MMDB_entry_data_s *data)
{
	const char *at = data->utf8_string;
	if (data->type != MMDB_DATA_TYPE_UTF8_STRING || data->data_size != 2 ||
	    !is_capital(at[0]) || !is_capital(at[1]))
		return 0;
	return (uint32_t)at[0] << 8 | (uint32_t)at[1];
}

static bool decode_country(MMDB_entry_s entry, uint32_t *out_value)
{
	static const char *const country[] = {"country", "iso_code", NULL};
	static const char *const registered[] = {"registered_country", "iso_code", NULL};
	static const char *const continent[] = {"continent", "code", NULL};
	MMDB_entry_data_s where, owner, part;
	if (!find(entry, country, &where) || !find(entry, registered, &owner) ||
	    !find(entry, continent, &part))
		return false;
	uint32_t code = code_of(&where) ? code_of(&where) : code_of(&owner);
	*out_value = code << 16 | code_of(&part);
	return true;
}

static bool decode_asn(MMDB_entry_s entry, uint32_t *out_value)
{
	static const char *const number[] = {"autonomous_system_number", NULL};
	MMDB_entry_data_s data;
	if (!find(entry, number, &data))
		return false;
	*out_value = data.type == MMDB_DATA_TYPE_UINT32   ? data.uint32
	             : data.type == MMDB_DATA_TYPE_UINT16 ? data.uint16
	                                                  : 0;
	return true;
}

static bool decode(struct walk *walk, MMDB_entry_s entry, uint32_t *out_value)
{
	struct answer *answer = &walk->cache[entry.offset % CACHE_SIZE];
	uint64_t place = (uint64_t)entry.offset + 1;
	if (answer->place != place) {
		uint32_t value = 0;
		if (walk->kind == GEOIP_ASN ? !decode_asn(entry, &value)
		                            : !decode_country(entry, &value))
			return false;
		*answer = (struct answer){place, value};
	}
	*out_value = answer->value;
	return true;
}

// ---- the tree -----------------------------------------------------------

static bool is_v6(const struct walk *walk)
{
	return walk->mmdb.metadata.ip_version == 6;
}

static bool is_v4_root(const struct branch *branch)
{
	return branch->bits == V4_ROOT_BITS && !branch->first.high && !branch->first.low;
}

// Whether it leads back to the subtree of IPv4.
static bool is_alias(const struct walk *walk, const struct branch *branch)
{
	const MMDB_ipv4_start_node_s *root = &walk->mmdb.ipv4_start_node;
	return is_v6(walk) && root->netmask == V4_ROOT_BITS && branch->record == root->node_value &&
	       !is_v4_root(branch);
}

static bool add(struct walk *walk, struct ip_number first, unsigned bits, bool v6, uint32_t value,
    struct text *why)
{
	struct addr_range range = range_of_network(first, bits, v6);
	if (!table_builder_add(walk->builder, &range, value, why))
		return false;
	if (table_builder_num(walk->builder) <= RANGES_MAX)
		return true;
	text_addf(why,
	    "it has more than %d ranges of addresses: it is damaged, or holds more than countries",
	    RANGES_MAX);
	return false;
}

// Everything above ::/96 that has one answer is one for all of IPv4 too.
static bool add_data(struct walk *walk, const struct branch *branch, struct text *why)
{
	uint32_t value;
	bool begins_v6 = is_v6(walk) && !branch->first.high && !(branch->first.low >> V4_BITS);
	if (!decode(walk, branch->entry, &value)) {
		text_addf(why, "it is damaged: data cannot be read");
		return false;
	}
	if (!value)
		return true;
	walk->found_any = true;
	if (!is_v6(walk))
		return add(walk, branch->first, branch->bits, false, value, why);
	if (begins_v6 && branch->bits >= V4_ROOT_BITS)
		return add(walk, branch->first, branch->bits - V4_ROOT_BITS, false, value, why);
	return (!begins_v6 || add(walk, branch->first, 0, false, value, why)) &&
	       add(walk, branch->first, branch->bits, true, value, why);
}

static void push(struct walk *walk, struct branch branch)
{
	walk->branches[walk->num_branches++] = branch;
}

static struct ip_number with_bit(struct ip_number number, unsigned bit)
{
	if (bit >= 64)
		number.high |= UINT64_C(1) << (bit - 64);
	else
		number.low |= UINT64_C(1) << bit;
	return number;
}

// The left half is visited first, so that ranges come in order.
static bool split(struct walk *walk, const struct branch *branch, struct text *why)
{
	MMDB_search_node_s node;
	unsigned total = is_v6(walk) ? V6_BITS : V4_BITS;
	if (++walk->num_nodes > NODES_MAX) {
		text_addf(why,
		    "its tree has more than %d nodes: it is damaged, or holds more than countries",
		    NODES_MAX);
		return false;
	}
	if (branch->bits == total ||
	    MMDB_read_node(&walk->mmdb, (uint32_t)branch->record, &node) != MMDB_SUCCESS) {
		text_addf(why, "it is damaged: its tree does not end");
		return false;
	}
	push(walk,
	    (struct branch){with_bit(branch->first, total - branch->bits - 1), branch->bits + 1,
	        node.right_record_type, node.right_record, node.right_record_entry});
	push(walk, (struct branch){branch->first, branch->bits + 1, node.left_record_type,
	               node.left_record, node.left_record_entry});
	return true;
}

static bool visit(struct walk *walk, const struct branch *branch, struct text *why)
{
	switch (branch->type) {
	case MMDB_RECORD_TYPE_EMPTY: return true;
	case MMDB_RECORD_TYPE_DATA: return add_data(walk, branch, why);
	case MMDB_RECORD_TYPE_SEARCH_NODE:
		return is_alias(walk, branch) || split(walk, branch, why);
	default: text_addf(why, "it is damaged: its tree leads nowhere"); return false;
	}
}

static bool visit_all(struct walk *walk, struct text *why)
{
	push(walk, (struct branch){.type = MMDB_RECORD_TYPE_SEARCH_NODE});
	while (walk->num_branches) {
		struct branch branch = walk->branches[--walk->num_branches];
		if (!visit(walk, &branch, why))
			return false;
	}
	return true;
}

// ---- the database -------------------------------------------------------

// The library multiplies these numbers without looking whether that fits.
static bool is_whole(const MMDB_s *mmdb)
{
	const MMDB_metadata_s *about = &mmdb->metadata;
	uint64_t tree = (uint64_t)about->node_count * about->record_size / 4;
	return (about->ip_version == 4 || about->ip_version == 6) && about->node_count &&
	       tree < (uint64_t)mmdb->file_size;
}

static void complain_of_kind(const struct walk *walk, struct text *why)
{
	const char *type = walk->mmdb.metadata.database_type;
	text_addf(why,
	    "no address in it has %s; it says that it is of the type \"%.60s\", and what is needed "
	    "is like %s",
	    walk->kind == GEOIP_ASN ? "an autonomous_system_number" : "a country or continent",
	    type && !str_has_control(str_of(type)) ? type : "?",
	    walk->kind == GEOIP_ASN ? "GeoLite2-ASN" : "GeoLite2-Country");
}

static bool compile(struct walk *walk, struct text *why)
{
	if (!is_whole(&walk->mmdb)) {
		text_addf(why, "it is damaged: its size and its head do not agree");
		return false;
	}
	if (!visit_all(walk, why))
		return false;
	if (!walk->found_any) {
		complain_of_kind(walk, why);
		return false;
	}
	table_builder_set_built(walk->builder, walk->mmdb.metadata.build_epoch);
	return table_builder_seal(walk->builder, why);
}

static bool open_and_compile(struct walk *walk, const char *path, struct text *why)
{
	int status = MMDB_open(path, MMDB_MODE_MMAP, &walk->mmdb);
	if (status != MMDB_SUCCESS) {
		text_addf(why, "it is no GeoIP database, or cut off: %s", MMDB_strerror(status));
		return false;
	}
	bool done = compile(walk, why);
	MMDB_close(&walk->mmdb);
	return done;
}

// In the child.  By its descriptor, so that it is the file that was looked at.
static bool work(void *context, struct text *why)
{
	const struct task *task = context;
	char room[32];
	struct text path = TEXT(room);
	struct walk *walk = xcalloc(1, sizeof(*walk));
	walk->kind = task->kind;
	walk->builder = task->builder;
	text_addf(&path, "/dev/fd/%d", fileno(task->file));
	bool done = open_and_compile(walk, room, why);
	free(walk);
	return done;
}

struct table *geoip_load(enum geoip_kind kind, const char *path, uint32_t slot, struct text *why)
{
	char room[512];
	struct text problem = TEXT(room);
	struct table *table = NULL;
	FILE *file = file_open(path);
	if (!file) {
		text_addf(why, "%s: cannot open it: %s", path, file_problem());
		return NULL;
	}
	struct table_builder *builder = table_builder_new(slot, &problem);
	struct task task = {kind, file, builder};
	if (builder && apart_run(work, &task, SECONDS_MAX, &problem))
		table = table_builder_open(builder, &problem);
	if (!table)
		text_addf(why, "%s: %s", path, room);
	table_builder_free(&builder);
	fclose(file);
	return table;
}

// ---- values -------------------------------------------------------------

static bool unpack(uint32_t code, char out_code[GEOIP_CODE_SIZE])
{
	out_code[0] = (char)(code >> 8 & 0xff);
	out_code[1] = (char)(code & 0xff);
	out_code[2] = '\0';
	return code != 0;
}

bool geoip_country(uint32_t value, char out_code[GEOIP_CODE_SIZE])
{
	return unpack(value >> 16, out_code);
}

bool geoip_continent(uint32_t value, char out_code[GEOIP_CODE_SIZE])
{
	return unpack(value & 0xffff, out_code);
}
