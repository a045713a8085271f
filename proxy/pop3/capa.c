// capa.c: writing capability lists.  See capa.h.
#include "proxy/pop3/capa.h"

#include "proxy/pop3/sasl.h"

static void add_line(struct text *out, bool wanted, struct str line)
{
	if (!wanted)
		return;
	text_add(out, line);
	text_add(out, STR("\r\n"));
}

static void add_mechanisms(
    const struct capa *capa, struct text *out, struct str before, struct str after)
{
	for (enum mechanism mechanism = 0; mechanism < MECHANISMS; mechanism++) {
		if (!(mechanism_claim(mechanism) & capa->claims))
			continue;
		text_add(out, before);
		text_add(out, str_of(mechanism_name(mechanism)));
		text_add(out, after);
	}
}

void capa_list(const struct capa *capa, struct text *out)
{
	text_add(out, STR("+OK Capability list follows.\r\n"));
	add_line(out, capa->top, STR("TOP"));
	add_line(out, capa->uidl, STR("UIDL"));
	add_line(out, true, STR("RESP-CODES"));
	add_line(out, true, STR("AUTH-RESP-CODE"));
	add_line(out, capa->pipelining, STR("PIPELINING"));
	add_line(out, capa->stls, STR("STLS"));
	add_line(out, capa->claims & CLAIM_plain, STR("USER"));
	if (capa->claims) {
		text_add(out, STR("SASL"));
		add_mechanisms(capa, out, STR(" "), STR(""));
		text_add(out, STR("\r\n"));
	}
	text_add(out, STR(".\r\n"));
}

void capa_list_mechanisms(const struct capa *capa, struct text *out)
{
	text_add(out, STR("+OK\r\n"));
	add_mechanisms(capa, out, STR(""), STR("\r\n"));
	text_add(out, STR(".\r\n"));
}
