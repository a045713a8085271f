// zone.c: answers from a table.  See zone.h.
#include "tests/kit/zone.h"

#include <stdlib.h>

#include "proxy/base/text.h"
#include "tests/kit/check.h"

static struct dns_message message;

// The name asked for, as text; what follows it in *out_rest.
static struct text read_name(struct str query, char *room, size_t size, struct str *out_rest)
{
	struct text name = text_in(room, size);
	struct str rest = str_drop(query, DNS_HEADER_SIZE);
	while (rest.len && rest.at[0]) {
		size_t len = (unsigned char)rest.at[0];
		if (name.len)
			text_add_char(&name, '.');
		text_add(&name, str_take(str_drop(rest, 1), len));
		rest = str_drop(rest, 1 + len);
	}
	*out_rest = str_drop(rest, 1);
	return name;
}

static struct zone_row *find_row(struct zone *zone, struct str name, enum dns_type type)
{
	for (size_t i = 0; i < zone->num_rows; i++)
		if (zone->rows[i].type == type && str_eq_nocase(str_of(zone->rows[i].name), name))
			return &zone->rows[i];
	return NULL;
}

static void add_value(const struct zone_row *row, struct str value)
{
	char *copy = str_dup(value);
	if (row->type == DNS_TYPE_PTR)
		dns_add_name(&message, "@", row->type, row->ttl_s, copy);
	else
		dns_add_addr(&message, "@", row->ttl_s, copy);
	free(copy);
}

static void add_values(const struct zone_row *row)
{
	struct str value, rest = str_of(row->values);
	while (rest.len) {
		str_cut(rest, ' ', &value, &rest);
		add_value(row, value);
	}
}

static void say(
    struct zone *zone, struct str query, enum zone_says says, const struct zone_row *row)
{
	static const unsigned codes[] = {[ZONE_OK] = DNS_RCODE_OK,
	    [ZONE_NXDOMAIN] = DNS_RCODE_NXDOMAIN,
	    [ZONE_NODATA] = DNS_RCODE_OK,
	    [ZONE_SERVFAIL] = DNS_RCODE_SERVFAIL,
	    [ZONE_NOTHING] = 0};
	if (says == ZONE_NOTHING)
		return;
	dns_begin(&message, query, codes[says]);
	if (says == ZONE_OK && row)
		add_values(row);
	else if (says != ZONE_SERVFAIL)
		dns_add_soa(&message, ZONE_NEGATIVE_TTL_S, ZONE_NEGATIVE_TTL_S);
	name_server_send(&zone->server, &message);
}

static void on_query(struct name_server *server, struct str query)
{
	struct zone *zone = server->context;
	char room[DNS_WIRE_MAX + 1];
	struct str rest;
	struct text name = read_name(query, room, sizeof(room), &rest);
	assert_true(rest.len >= 4 && !name.truncated);
	enum dns_type type = (enum dns_type)rest.at[1];
	struct zone_row *row = find_row(zone, text_str(&name), type);
	zone->heard_reverse += type == DNS_TYPE_PTR;
	zone->heard_forward += type != DNS_TYPE_PTR;
	if (row)
		row->heard++;
	say(zone, query, row ? row->says : zone->otherwise, row);
}

void zone_open(struct zone *zone, struct net *net)
{
	zone->server.on_query = on_query;
	zone->server.context = zone;
	name_server_open(&zone->server, net);
}

void zone_close(struct zone *zone)
{
	name_server_close(&zone->server);
}

struct zone_row *zone_add(
    struct zone *zone, const char *name, enum dns_type type, uint32_t ttl_s, const char *values)
{
	assert_true(zone->num_rows < ZONE_ROWS);
	struct zone_row *row = &zone->rows[zone->num_rows++];
	*row = (struct zone_row){.type = type, .ttl_s = ttl_s, .values = values};
	struct text text = TEXT(row->name);
	text_add(&text, str_of(name));
	return row;
}

struct zone_row *zone_add_reverse(
    struct zone *zone, const char *ip, uint32_t ttl_s, const char *names)
{
	struct addr addr;
	struct dns_query query;
	struct str rest;
	char room[DNS_WIRE_MAX + 1];
	assert_true(addr_parse(str_of(ip), 1, &addr));
	dns_query_reverse(&query, &addr);
	read_name((struct str){(const char *)query.at, query.len}, room, sizeof(room), &rest);
	return zone_add(zone, room, DNS_TYPE_PTR, ttl_s, names);
}
