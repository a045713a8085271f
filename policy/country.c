// country.c: the lists of codes.  See country.h.
#include "policy/country.h"

#include "proxy/config/problems.h"

// Each with a space behind it, as find_code wants them.
static const char countries[] =
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ "
    "BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM "
    "DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS "
    "GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN "
    "KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ "
    "MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
    "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
    "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI "
    "VN VU WF WS YE YT ZA ZM ZW XK ";

static const char continents[] = "AF AN AS EU NA OC SA ";

// What people write for a country, and what it is.
static const struct {
	struct str word;
	const char *meant;
} habits[] = {
    {{"UK", 2}, "the United Kingdom is GB"},
    {{"EL", 2}, "Greece is GR"},
    {{"EU", 2}, "Europe is a continent, write \"continent EU\""},
};

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

static bool find_code(const char *list, struct str word, uint32_t *out_code)
{
	if (word.len != 2)
		return false;
	const char letters[] = {upper(word.at[0]), upper(word.at[1])};
	for (const char *at = list; *at; at += 3)
		if (memcmp(at, letters, sizeof(letters)) == 0) {
			*out_code = country_code(letters);
			return true;
		}
	return false;
}

bool country_read(struct str word, uint32_t *out_code, struct text *why)
{
	if (find_code(countries, word, out_code))
		return true;
	text_addf(why, "%s is no country; ", shown(word).at);
	for (size_t i = 0; i < sizeof(habits) / sizeof(habits[0]); i++)
		if (str_eq_nocase(habits[i].word, word)) {
			text_addf(why, "%s", habits[i].meant);
			return false;
		}
	text_addf(why, "a country has the two letters of ISO 3166, such as DE");
	return false;
}

bool continent_read(struct str word, uint32_t *out_code, struct text *why)
{
	if (find_code(continents, word, out_code))
		return true;
	text_addf(
	    why, "%s is no continent; there are AF, AN, AS, EU, NA, OC and SA", shown(word).at);
	return false;
}

void country_print(uint32_t code, struct text *out)
{
	const char letters[] = {(char)(code >> 8), (char)code};
	text_add(out, (struct str){letters, sizeof(letters)});
}
