// dns_answer_fuzz.c: what a name server says, read as the answer to one of four
// questions.
//
// The first byte chooses the question; the rest is the message.  Whatever it
// is: names are host names in lower case, addresses have no port, there are no
// more than there may be, and a failure brings nothing with it.
#include "proxy/net/dns_answer.h"
#include "tests/fuzz/fuzz.h"

static void make_query(struct dns_query *query, unsigned choice)
{
	const char *ip = choice & 1 ? "2001:db8::9" : "192.0.2.9";
	struct addr addr;
	MUST(addr_parse(str_of(ip), 1, &addr));
	if (choice & 2)
		MUST(dns_query_host(
		    query, choice & 1 ? DNS_TYPE_AAAA : DNS_TYPE_A, STR("mail.contoso.com")));
	else
		dns_query_reverse(query, &addr);
}

static void check_names(const struct dns_answer *answer)
{
	for (size_t i = 0; i < answer->num_names; i++) {
		struct str name = dns_name_str(&answer->names[i]);
		MUST(dns_name_is_host(name));
		for (size_t k = 0; k < name.len; k++)
			MUST(name.at[k] < 'A' || name.at[k] > 'Z');
	}
}

static void check_counts(const struct dns_answer *answer, bool is_reverse)
{
	MUST(answer->num_names <= DNS_NAMES_MAX && answer->num_addrs <= DNS_ADDRS_MAX);
	MUST(!answer->num_ignored || answer->num_names == DNS_NAMES_MAX);
	MUST(answer->num_names + answer->num_ignored + answer->num_illegal <= DNS_RECORDS_MAX);
	MUST(is_reverse ? !answer->num_addrs : !answer->num_names && !answer->num_illegal);
	for (size_t i = 0; i < answer->num_addrs; i++)
		MUST(addr_port(&answer->addrs[i]) == 0);
}

static void check_status(const struct dns_answer *answer)
{
	size_t found = answer->num_names + answer->num_illegal + answer->num_addrs;
	MUST((answer->status == DNS_OK) == (found > 0));
	if (answer->status != DNS_NXDOMAIN && answer->status != DNS_NODATA && !found)
		MUST(answer->ttl_s == 0);
	MUST(answer->ttl_s <= INT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query query;
	struct dns_answer answer;
	if (!size)
		return 0;
	make_query(&query, data[0]);
	dns_answer_parse((struct str){(const char *)data + 1, size - 1}, &query, &answer);
	check_names(&answer);
	check_counts(&answer, dns_query_type(&query) == DNS_TYPE_PTR);
	check_status(&answer);
	return 0;
}
