// config_test.c: what the configuration reads, what it refuses and in which
// words, and that what it prints it reads again.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/config/render.h"

#define FILE_NAME "/etc/popgate/popgate.conf"
#define AT FILE_NAME ":"

// Sections that most rows need; they take 5 lines.
#define HEAD                                                                                       \
	"certificates:\n"                                                                          \
	"  localhost: { chain: cert.pem, key: key.pem }\n"                                         \
	"backends:\n"                                                                              \
	"  store: { servers: [\"127.0.0.1:1110\"], tls: none }\n"                                  \
	"listeners:\n"

#define AT_STORE "listener \"a\" cannot log in at backend \"store\": verify has backend, but "

// A sound listener but for what follows, in line 6; the end closes it.
#define LISTENER HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: implicit, backend: store, "
#define SOUND LISTENER "}\n"

#define IN_XN                                                                                      \
	"; write labels of other scripts as the DNS has them (xn--...), which the program idn2 "   \
	"prints"

#define ASKING "client_certs: optional, client_ca: ca.pem, "

// The same for a backend, in line 2.
#define CERTIFICATE "certificates:\n  localhost: { chain: a, key: b, "
#define CERTIFICATE_END                                                                            \
	"}\nbackends: { store: { servers: [\"127.0.0.1:1110\"] } }\n"                              \
	"listeners: { a: { bind: [\"127.0.0.1:0\"], tls: stls, backend: store } }\n"
#define BACKEND "backends:\n  store: { servers: [\"127.0.0.1:1110\"], "
#define BACKEND_END                                                                                \
	"}\n"                                                                                      \
	"listeners:\n"                                                                             \
	"  a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store, login: [basic] }\n"

static const char example[] =
    "workers: 2\n"
    "log: { target: stderr, format: json }\n"
    "certificates:\n"
    "  localhost: { chain: cert.pem, key: key.pem }\n"
    "backends:\n"
    "  store: { servers: [\"127.0.0.1:1110\"], tls: none }\n"
    "defaults:\n"
    "  backend: store\n"
    "  login: [basic-tls]\n"
    "  preauth_timeout: 60s\n"
    "  session_timeout: 30m\n"
    "listeners:\n"
    "  pop3s: { bind: [\"127.0.0.1:9955\", \"[::1]:9955\"], tls: implicit }\n"
    "  pop3: { bind: [\"127.0.0.1:1100\"], tls: stls, session_timeout: 10m }\n";

// Loads what must be sound.
static struct config *load_as(const char *path, struct str yaml)
{
	struct problems problems;
	problems_init(&problems);
	struct config *config = config_load_text(path, yaml, &problems);
	check_str(yaml, text_str(&problems.text), STR(""));
	assert_non_null(config);
	return config;
}

static struct config *load(struct str yaml)
{
	return load_as(FILE_NAME, yaml);
}

static void test_example(void **state)
{
	(void)state;
	struct config *config = load(str_of(example));
	assert_int_equal(config->site.workers, 2);
	assert_string_equal(config->site.user, "nobody");
	assert_int_equal(config->site.drain_timeout, 3600 * 1000);
	assert_string_equal(config->log.target, "stderr");
	assert_int_equal(config->log.format, LOG_FORMAT_json);
	assert_string_equal(config->users.database, "");
	assert_string_equal(config->users.key, "/etc/popgate/users.key");
	assert_int_equal(config->num_certificates, 1);
	assert_string_equal(config->certificates[0].options.key, "/etc/popgate/key.pem");
	assert_int_equal(config->num_backends, 1);
	assert_int_equal(config->backends[0].options.tls, BACKEND_TLS_none);
	assert_int_equal(
	    config->backends[0].options.capabilities, CAPABILITY_top | CAPABILITY_uidl);
	assert_int_equal(config->num_listeners, 2);
	assert_int_equal(config->listeners[0].options.bind.num, 2);
	assert_string_equal(config->listeners[0].options.bind.at[1], "[::1]:9955");
	assert_int_equal(config->listeners[0].options.tls, LISTENER_TLS_implicit);
	assert_int_equal(config->listeners[1].options.tls, LISTENER_TLS_stls);
	assert_int_equal(config->listeners[1].backend, 0);
	assert_int_equal(config->listeners[1].num_certificates, 1);
	assert_int_equal(config->listeners[1].certificates[0], 0);
	assert_int_equal(config->listeners[1].options.relay_buffer, 65536);
	config_free(&config);
	assert_null(config);
	config_free(&config);
}

static const char policies[] =
    "policies:\n"
    "  edge:\n"
    "    rules:\n"
    "      - deny file banned.txt\n"
    "      - allow ip 131.107.2.0/255.255.255.0      # head office\n"
    "    default: deny\n"
    "    refusal: message                # message | drop | reset\n"
    "geoip: { country: GeoLite2-Country.mmdb }\n"
    "resolver: { servers: [\"127.0.0.1:5353\"], cache_size: 64M }\n"
    "metrics: { listen: 127.0.0.1:9110 }\n" HEAD
    "  a: { bind: [\"127.0.0.1:0\"], tls: implicit, backend: store, policy: edge }\n"
    "  b: { bind: [\"127.0.0.1:0\"], tls: implicit, backend: store }\n";

static void test_policies(void **state)
{
	(void)state;
	struct config *config = load(str_of(policies));
	const struct policy_config *edge = &config->policies[0];
	assert_int_equal(config->num_policies, 1);
	assert_string_equal(edge->options.rules.at[1], "allow ip 131.107.2.0/255.255.255.0");
	assert_int_equal(edge->options.rules.places[1].line, 5);
	assert_int_equal(edge->options.default_, ACCESS_deny);
	assert_int_equal(edge->options.refusal, REFUSAL_message);
	assert_string_equal(config->geoip.country, "/etc/popgate/GeoLite2-Country.mmdb");
	assert_string_equal(config->geoip.asn, "");
	assert_int_equal(config->resolver.servers.num, 1);
	assert_string_equal(config->metrics.listen, "127.0.0.1:9110");
	assert_int_equal(config->listeners[0].policy, 0);
	assert_int_equal(config->listeners[1].policy, NO_POLICY);
	config_free(&config);
}

// A listener's own value, else that of `defaults`, else the built-in one.
static void test_origins(void **state)
{
	(void)state;
	struct config *config = load(str_of(example));
	const struct listener_config *pop3s = &config->listeners[0], *pop3 = &config->listeners[1];
	assert_int_equal(pop3s->options.session_timeout, 30 * 60 * 1000);
	assert_int_equal(pop3s->origins[LISTENER_OPTION_session_timeout], ORIGIN_defaults);
	assert_int_equal(pop3s->places[LISTENER_OPTION_session_timeout].line, 11);
	assert_int_equal(pop3s->places[LISTENER_OPTION_session_timeout].column, 20);
	assert_int_equal(pop3->options.session_timeout, 10 * 60 * 1000);
	assert_int_equal(pop3->origins[LISTENER_OPTION_session_timeout], ORIGIN_own);
	assert_int_equal(pop3->places[LISTENER_OPTION_session_timeout].line, 14);
	assert_int_equal(pop3->origins[LISTENER_OPTION_backlog], ORIGIN_default);
	assert_int_equal(pop3->places[LISTENER_OPTION_backlog].line, 0);
	config_free(&config);
}

// Values as they are written, and what `popgate config` makes of them.
static const struct {
	const char *yaml;
	const char *printed;
} readings[] = {
    {"session_timeout: 1000ms", "session_timeout: 1s"},
    {"session_timeout: 120s", "session_timeout: 2m"},
    {"session_timeout: 90s", "session_timeout: 90s"},
    {"session_timeout: 1d", "session_timeout: 1d"},
    {"session_timeout: \"24h\"", "session_timeout: 1d"},
    {"relay_buffer: 16384", "relay_buffer: 16K"},
    {"relay_buffer: 1M", "relay_buffer: 1M"},
    {"relay_buffer: 16385", "relay_buffer: 16385"},
    {"max_command_size: 1K", "max_command_size: 1K"},
    {"max_connections: 0010", "max_connections: 10"},
    {"greeting: no", "greeting: \"no\""},
    {"greeting: ~", "greeting: \"~\""},
    {"greeting: null", "greeting: \"null\""},
    {"greeting: 1e3", "greeting: \"1e3\""},
    {"greeting: 2001-01-01", "greeting: \"2001-01-01\""},
    {"greeting: 'it''s \"me\" \\ here'", "greeting: \"it's \\\"me\\\" \\\\ here\""},
    {"certificates: []", "certificates: []"},
    {"certificates: [localhost]", "certificates: [\"localhost\"]"},
    {"unknown_names: refuse", "unknown_names: refuse"},
    {"server_names: [\"*.A.example  at store\"]", "server_names: [\"*.A.example  at store\"]"},
    {"session_tickets: false", "session_tickets: false"},
    {"login: [basic-tls, basic]", "login: [basic, basic-tls]"},
};

static char *render(const struct config *config)
{
	char *printed = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&printed, &len);
	assert_true(config_render_effective(config, out));
	fclose(out);
	return printed;
}

static void test_readings(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(readings); i++) {
		char yaml[1024], line[256];
		snprintf(yaml, sizeof(yaml), LISTENER "%s }\n", readings[i].yaml);
		snprintf(line, sizeof(line), "\n    %s ", readings[i].printed);
		struct config *config = load(str_of(yaml));
		char *printed = render(config);
		check(str_of(readings[i].yaml), strstr(printed, line));
		free(printed);
		config_free(&config);
	}
}

// What is refused, and the whole text of what is said.
static const struct {
	const char *yaml;
	const char *problems;
} refusals[] = {
    // policies
    {LISTENER "policy: egde }\npolicies: { edge: { rules: [allow any] } }\n",
        AT "6:70: unknown policy \"egde\"; did you mean \"edge\"?\n"},
    {"policies: { edge: { rules: [] } }\n" SOUND, AT "1:28: rules: must not be empty\n"},
    {"policies: { edge: { default: maybe, rules: [allow any] } }\n" SOUND,
        AT "1:30: default: must be allow or deny, not \"maybe\"\n"},
    {"resolver: { servers: [localhost] }\n" SOUND,
        AT "1:23: servers: \"localhost\" is not the address of a name server, such as "
           "127.0.0.1, \"[::1]:5353\" or system\n"},
    {"resolver: { servers: [192.0.2.1, system] }\n" SOUND,
        AT "1:34: servers: system stands for the servers of /etc/resolv.conf and stands alone; "
           "leave out the others, or it\n"},
    {"resolver: { servers: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5] }\n" SOUND,
        AT "1:22: servers: at most 4 are asked; leave out the others\n"},
    // metrics
    {"metrics: { listen: 9110 }\n" SOUND,
        AT "1:20: listen: \"9110\" is not an address with a port, such as 127.0.0.1:9110 or "
           "\"[::1]:9110\"\n"},
    {"metrics: { listen: localhost:9110 }\n" SOUND,
        AT "1:20: listen: \"localhost:9110\" is not an address with a port, such as "
           "127.0.0.1:9110 or \"[::1]:9110\"\n"},
    {"metrics: { listen: 127.0.0.1:995 }\n" HEAD
     "  a: { bind: [\"127.0.0.1:110\", \"127.0.0.1:995\"], tls: implicit, backend: store }\n",
        AT "1:20: listen: \"127.0.0.1:995\" is bound by listener \"a\"; choose another port\n"},
    {"metrics: { listen: 127.0.0.1:995 }\n" HEAD
     "  a: { bind: [\"[::]:995\", \"192.0.2.1:995\"], tls: implicit, backend: store }\n"
     "  b: { bind: [\"0.0.0.0:995\"], tls: implicit, backend: store }\n",
        AT "1:20: listen: \"127.0.0.1:995\" is bound by listener \"b\"; choose another port\n"},
    // syntax
    {"workers: [1\n", AT "2:1: not YAML: did not find expected ',' or ']' while parsing a flow "
                         "sequence; put values with any of []{}:#,&*!|>%@ in double quotes\n"},
    {"workers: \"\xff\"\n", AT "1:11: not a text in UTF-8: invalid leading UTF-8 octet; save the "
                               "file as UTF-8 without control characters\n"},
    {"workers: &a 1\n", AT "1:10: anchors (&name) and tags (!name) are not read; leave it out, "
                           "or put the value in double quotes\n"},
    {"workers: !!int 1\n", AT "1:10: anchors (&name) and tags (!name) are not read; leave it "
                              "out, or put the value in double quotes\n"},
    {"workers: *a\n", AT "1:10: aliases (*name) are not read; write the value out\n"},
    {"defaults:\n  <<: {}\n", AT "2:3: merge keys (<<) are not read; write the values out, or "
                                 "put what listeners share under \"defaults\"\n"},
    {"workers: 1\nuser: a\nworkers: 2\n",
        AT "3:1: \"workers\" is given twice, first in line 1; leave one out\n"},
    {"? [a]\n: b\n", AT "1:3: a key must be a text\n"},
    {"--- {}\n--- {}\n", AT "2:1: a second document begins here; there must be one only\n"},
    {"a: [[[[[[[[[[[[[[[[[[", AT "1:19: nested too deeply\n"},
    {"[]\n", AT "1:1: the file must be a map: keys, each with a colon and a value\n"},

    // keys
    {"worker: 1\n" SOUND, AT "1:1: unknown key \"worker\" in the top level; did you mean "
                             "\"workers\"?\n"},
    {"default: {}\n" SOUND, AT "1:1: unknown key \"default\" in the top level; did you mean "
                               "\"defaults\"?\n"},
    {"zebra: 1\n" SOUND, AT "1:1: unknown key \"zebra\" in the top level\n"},
    {"log: { levle: info }\n" SOUND,
        AT "1:8: unknown key \"levle\" in log; did you mean \"level\"?\n"},
    {LISTENER "bakend: store }\n", AT "6:62: unknown key \"bakend\" in listener \"a\"; did you "
                                      "mean \"backend\"?\n"},
    {"session_timeout: 1m\n" SOUND, AT "1:1: \"session_timeout\" does not belong in the top "
                                       "level; it is an option of a listener\n"},
    {"defaults: { workers: 1 }\n" SOUND, AT "1:13: \"workers\" does not belong in defaults; it "
                                            "is an option of the top level\n"},
    {"log: 1\n" SOUND, AT "1:6: log must be a map: keys, each with a colon and a value\n"},

    // values
    {"user: [a]\n" SOUND, AT "1:7: user: must be a text; this is a list\n"},
    {"user:\n" SOUND, AT "1:6: user: must be a text; nothing is given\n"},
    {"user: \"\"\n" SOUND, AT "1:7: user: must not be empty\n"},
    {"user: \"a\\nb\"\n" SOUND, AT "1:7: user: control characters and line ends are not allowed\n"},
    {"workers: many\n" SOUND, AT "1:10: workers: must be auto or a whole number, not \"many\"\n"},
    {"workers: 0\n" SOUND, AT "1:10: workers: must be from 1 to 256, not \"0\"\n"},
    {"workers: 99999999999999999999\n" SOUND,
        AT "1:10: workers: must be from 1 to 256, not \"99999999999999999999\"\n"},
    {"drain_timeout: 60\n" SOUND, AT "1:16: drain_timeout: \"60\" has no unit; write 60s for "
                                     "seconds or 60m for minutes\n"},
    {"drain_timeout: 1 h\n" SOUND, AT "1:16: drain_timeout: must be a number with ms, s, m, h "
                                      "or d, not \"1 h\"\n"},
    {"drain_timeout: 8d\n" SOUND, AT "1:16: drain_timeout: must be from 0s to 7d, not \"8d\"\n"},
    {LISTENER "session_timeout: 0 }\n",
        AT "6:79: session_timeout: must be from 1s to 1d, not \"0\"\n"},
    {LISTENER "relay_buffer: 99999999999G }\n",
        AT "6:76: relay_buffer: must be from 16K to 16M, not \"99999999999G\"\n"},
    {LISTENER "session_tickets: no }\n",
        AT "6:79: session_tickets: must be true or false, not \"no\"\n"},
    {"log: { format: xml }\n" SOUND, AT "1:16: format: must be text or json, not \"xml\"\n"},
    {"log: { level: all }\n" SOUND,
        AT "1:15: level: must be error, warn, info or debug, not \"all\"\n"},
    {LISTENER "login: basic }\n",
        AT "6:69: login: must be a list of login methods; put it in brackets: [\"basic\"]\n"},
    {LISTENER "login: [basci] }\n", AT "6:70: login: \"basci\" is not known; did you mean "
                                       "\"basic\"? there are basic, basic-tls, ntlm, "
                                       "ntlm-tls, digest, digest-tls, external\n"},
    {LISTENER "login: [plain] }\n",
        AT "6:70: login: \"plain\" is not known; there are basic, basic-tls, ntlm, ntlm-tls, "
           "digest, digest-tls, external\n"},
    {LISTENER "login: [membership] }\n",
        AT "6:70: login: membership: this version of popgate cannot ask an outside directory yet; "
           "leave it out\n"},
    {LISTENER "login: [ntlm-v1] }\n",
        AT "6:70: login: ntlm-v1: for all clients this is ntlm_level: v1; leave it out\n"},
    {LISTENER "verify: [user] }\n", AT "6:71: verify: \"user\" judges no logins; there are "
                                       "backend, certificate, users and winbind; did "
                                       "you mean \"users\"?\n"},
    {LISTENER "deny_users: [LAB\\root] }\n",
        AT "6:75: deny_users: \"LAB\\root\" has a domain; write the user's name alone, it counts "
           "in all\n"},
    {LISTENER "ntlm_services: [\"a b\"] }\n",
        AT "6:78: ntlm_services: \"a b\" is not a host name, such as mail.example.org\n"},
    {LISTENER "public_names: [m\xc3\xbcnchen.example] }\n",
        AT "6:77: public_names: \"m\xc3\xbcnchen.example\" is not a host name, such as "
           "mail.example.org" IN_XN "\n"},
    {LISTENER "public_names: [xn--mnchen-3ya.example, \"a b\"] }\n",
        AT "6:101: public_names: \"a b\" is not a host name, such as mail.example.org\n"},
    {LISTENER "server_names: [\"*.m\xc3\xbcnchen.example at store\"] }\n",
        AT "6:77: server_names: \"*.m\xc3\xbcnchen.example\" is no name that a client can ask "
           "for, such as pop.example.org or *.example.org" IN_XN "\n"},
    {LISTENER "login: [] }\n",
        AT "6:69: login: without a method nobody could log in; the usual one is [basic-tls]\n"},
    {LISTENER "greeting: \"<1@x>\" }\n", AT "6:72: greeting: leave out \"<\", which clients take "
                                            "for the start of an APOP timestamp\n"},
    {LISTENER "greeting: \"gr\xc3\xbc\xc3\x9f\" }\n",
        AT "6:72: greeting: POP3 replies are plain ASCII\n"},
    {HEAD "  a: { bind: [\"localhost:110\"], tls: implicit, backend: store }\n",
        AT "6:15: bind: \"localhost:110\" is not an address with a port, such as 192.0.2.1:995 "
           "or \"[::]:995\"\n"},
    {HEAD "  a: { bind: [], tls: implicit, backend: store }\n",
        AT "6:14: bind: must not be empty\n"},
    {"backends: { b: { servers: [mail] } }\n" SOUND,
        AT "4:1: \"backends\" is given twice, first in line 1; leave one out\n"},
    {BACKEND "x: 1 " BACKEND_END, AT "2:41: unknown key \"x\" in backend \"store\"\n"},
    {BACKEND "fingerprint: 12 " BACKEND_END,
        AT "2:54: fingerprint: must be the SHA-256 of the certificate: 64 hexadecimal digits, "
           "with or without colons; see openssl x509 -noout -fingerprint -sha256\n"},

    // across options
    {"workers: 1\n", AT " no listeners; say under \"listeners\" where clients connect\n"},
    {HEAD "  a: { tls: implicit, backend: store }\n",
        AT "6:3: listener \"a\" lacks \"bind\", which must be given: bind: [\"0.0.0.0:995\", "
           "\"[::]:995\"]\n"},
    {HEAD "  a/b: { bind: [\"127.0.0.1:0\"], tls: implicit, backend: store }\n",
        AT "6:3: \"a/b\" is not a good name; use letters, digits and . _ -, at most 64\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: implicit, backend: stroe }\n",
        AT "6:55: unknown backend \"stroe\"; did you mean \"store\"?\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: implicit, backend: mail }\n",
        AT "6:55: unknown backend \"mail\"; there are \"store\"\n"},
    {LISTENER "certificates: [other] }\n",
        AT "6:77: unknown certificate \"other\"; there are \"localhost\"\n"},
    {LISTENER "certificates: [localhsot] }\n",
        AT "6:77: unknown certificate \"localhsot\"; did you mean \"localhost\"?\n"},
    {LISTENER "server_names: [a.example at stroe] }\n",
        AT "6:77: unknown backend \"stroe\"; did you mean \"store\"?\n"},
    {LISTENER "server_names: [a.example at store, A.example at store] }\n",
        AT "6:97: server_names: \"A.example\" stands twice; leave one out\n"},
    {LISTENER "server_names: [a.example store] }\n",
        AT "6:77: server_names: \"a.example store\" is no rule NAME at BACKEND, such as "
           "pop.example.org at store\n"},
    {LISTENER "server_names: [a.*.example at store] }\n",
        AT "6:77: server_names: \"a.*.example\" is no name that a client can ask for, such as "
           "pop.example.org or *.example.org\n"},
    {LISTENER "server_names: [192.0.2.1 at store] }\n",
        AT "6:77: server_names: \"192.0.2.1\" is no name that a client can ask for, such as "
           "pop.example.org or *.example.org\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: none, login: [basic], backend: store, "
          "server_names: [a.example at store] }\n",
        AT "6:88: server_names: without TLS no client asks for a name; set tls to stls, or leave "
           "it out\n"},
    {LISTENER "certificates: [localhost, localhost] }\n",
        AT "6:88: certificates: localhost stands twice; leave one out\n"},
    {"backends: { store: { servers: [\"127.0.0.1:1\"] } }\n"
     "listeners: { a: { bind: [\"127.0.0.1:0\"], tls: stls, backend: store } }\n",
        AT "2:14: listener \"a\" does TLS and has no certificate; give one under "
           "\"certificates\"\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store }\n",
        AT "6:3: listener \"a\" can never have a login: basic-tls needs TLS, and tls is none; "
           "set tls to stls, or login to [basic]\n"},
    {HEAD "  a: { bind: [\"[::]:1\"], tls: stls, backend: store }\n"
          "  b: { bind: [\"[0::0]:1\"], tls: stls, backend: store }\n",
        AT "7:14: bind: \"[0::0]:1\" is already bound by listener \"a\"; leave one out\n"},
    {CERTIFICATE "ocsp: file " CERTIFICATE_END, AT "2:40: ocsp: file needs ocsp_file\n"},
    {CERTIFICATE "ocsp: fetch, ocsp_file: c " CERTIFICATE_END,
        AT "2:58: ocsp_file: only ocsp: file uses it; leave it out, or set ocsp\n"},
    {CERTIFICATE "ocsp_url: \"http://a\" " CERTIFICATE_END,
        AT "2:44: ocsp_url: only ocsp: fetch uses it; leave it out, or set ocsp\n"},
    {CERTIFICATE "ocsp: fetch, ocsp_url: \"file:///a\" " CERTIFICATE_END,
        AT "2:57: ocsp_url: \"file:///a\" is not a URL, such as http://ocsp.example.org/\n"},
    {CERTIFICATE "ocsp: always " CERTIFICATE_END,
        AT "2:40: ocsp: must be off, file or fetch, not \"always\"\n"},
    {BACKEND "tls: none, verify_name: a " BACKEND_END,
        AT "2:65: verify_name: with tls: none there is no certificate to check; leave it out, or "
           "set tls to stls or tls\n"},
    {BACKEND "login: master, master_user: boss " BACKEND_END,
        AT "2:48: login: master needs master_user and master_password_file\n" AT "4:3: " AT_STORE
           "with login: master the store lets everybody in whom popgate names; "
           "let users or winbind judge\n"},
    {BACKEND "login: master, master_password_file: boss " BACKEND_END,
        AT "2:48: login: master needs master_user and master_password_file\n" AT "4:3: " AT_STORE
           "with login: master the store lets everybody in whom popgate names; "
           "let users or winbind judge\n"},
    {BACKEND "login: plain, master_user: boss " BACKEND_END,
        AT "2:68: master_user: only login: master uses it; leave it out, or set login\n"},
    {BACKEND "master_password_file: boss " BACKEND_END,
        AT "2:63: master_password_file: only login: master uses it; leave it out, or set "
           "login\n"},
    {BACKEND "client_address: proxy " BACKEND_END,
        AT "2:57: client_address: must be none, proxy-v1, proxy-v2 or xclient, not \"proxy\"\n"},

    {"user: root\n" SOUND,
        AT "1:7: user: workers, who meet the clients, may not be root; leave it out, or name a "
           "user who owns nothing\n"},

    // logins that nobody could judge, or go on with
    {BACKEND "login: stored " BACKEND_END,
        AT "4:3: " AT_STORE "with login: stored the store is told the password of users.db, "
           "whoever comes; let users judge\n"},
    {LISTENER "verify: [backend, users] }\nusers: { database: u }\n",
        AT "6:71: verify: backend must stand last: the store judges whoever comes to it, and "
           "nobody is asked after it\n"},
    {LISTENER "verify: [winbind, winbind] }\n",
        AT "6:80: verify: winbind stands twice; leave one out\n"},
    {LISTENER "verify: [users] }\n",
        AT "6:70: verify: users needs a database; say under \"users\" where it is\n"},
    {LISTENER "login: [digest-tls] }\n",
        AT "6:69: login: APOP and CRAM-MD5 can be judged by users alone; put it into verify, or "
           "leave digest out\n"},
    {LISTENER "login: [ntlm-tls], verify: [winbind] }\n",
        AT "6:89: listener \"a\" cannot log in at backend \"store\": verify has winbind, and NTLM "
           "leaves nobody with a password to tell the store; it needs login: master, or users "
           "before winbind, which keeps one\n"},
    {BACKEND "login: stored }\nusers: { database: u }\nlisteners:\n"
             "  a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store, login: [basic], "
             "verify: [winbind, users] }\n",
        AT "5:82: listener \"a\" cannot log in at backend \"store\": verify has winbind, but the "
           "password for login: stored is in users.db; put users before it\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store, login: [ntlm], "
          "ntlm_channel_binding: require }\n",
        AT "6:95: ntlm_channel_binding: without TLS there is nothing to be bound to, and nobody "
           "could log in by NTLM; set tls to stls, or leave it out\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store, login: [ntlm-tls] }\n",
        AT "6:65: listener \"a\" can never have a login: ntlm-tls needs TLS, and tls is none; set "
           "tls to stls, or login to [basic]\n"},

    // client certificates
    {LISTENER "client_certs: optional }\n", AT
        "6:76: client_certs: name the PEM file of the authorities that may vouch for clients with "
        "client_ca\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store, login: [basic], "
          "client_certs: required, client_ca: ca.pem }\n",
        AT "6:88: client_certs: without TLS nobody can show a certificate; set tls to stls, or "
           "client_certs to off\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: stls, backend: store, login: [basic-tls, ntlm], "
          "client_certs: required, client_ca: ca.pem }\n",
        AT "6:98: client_certs: required, but who does not begin TLS is asked for none and can log "
           "in; in login and login_exceptions, take basic-tls, ntlm-tls and digest-tls in the "
           "place of basic, ntlm and digest\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: stls, backend: store, client_certs: required, "
          "client_ca: ca.pem, login_exceptions: [\"allow basic 10.0.0.0/8\"] }\n",
        AT "6:72: client_certs: required, but who does not begin TLS is asked for none and can log "
           "in; in login and login_exceptions, take basic-tls, ntlm-tls and digest-tls in the "
           "place of basic, ntlm and digest\n"},
    {LISTENER "client_ca: ca.pem, client_crl: ca.crl }\n",
        AT "6:73: client_ca: clients are asked for no certificate; leave it out, or set "
           "client_certs to optional or required\n" AT
           "6:93: client_crl: clients are asked for no certificate; leave it out, or set "
           "client_certs to optional or required\n"},
    {LISTENER "client_cert_user: [mail] }\n",
        AT "6:81: client_cert_user: \"mail\" is no name of a certificate; there are email, upn, "
           "common-name and dns; did you mean \"email\"?\n"},
    {LISTENER "login: [external], verify: [users] }\nusers: { database: u }\n",
        AT "6:69: login: external is a client's certificate, and clients are asked for none; set "
           "client_certs to optional or required, or leave external out\n"},
    {LISTENER ASKING "login_exceptions: [\"allow external any\"], verify: [winbind] }\n", AT
        "6:123: login_exceptions: external can be judged by users and certificate alone; put one "
        "of them into verify, or leave external out\n" AT
        "6:155: listener \"a\" cannot log in at backend \"store\": login has external, and a "
        "certificate leaves nobody with a password to tell the store; it needs login: master, "
        "or users in verify, which keeps one\n"},
    {LISTENER ASKING "login: [external], verify: [certificate, users] }\n"
                     "users: { database: u }\n",
        AT "6:146: verify: users must stand before certificate, which lets in everybody whom an "
           "authority vouches for, also users who are disabled\n"},
    {LISTENER ASKING "verify: [certificate] }\n",
        AT "6:114: verify: certificate judges external alone; add who judges the other methods of "
           "login, or set login to [external]\n"},
    {HEAD "  a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store, login: [external], "
          "client_certs: optional, client_ca: ca.pem, verify: [users] }\nusers: { database: u }\n",
        AT "6:65: listener \"a\" can never have a login: external needs TLS, and tls is none; set "
           "tls to stls, or login to [basic]\n" AT
           "6:91: client_certs: without TLS nobody can show a certificate; set tls to stls, or "
           "client_certs to off\n"},

    // all in one run, a mistake in `defaults` once
    {"worker: 1\ndefaults: { backlog: x }\n" SOUND,
        AT "1:1: unknown key \"worker\" in the top level; did you mean \"workers\"?\n" AT
           "2:22: backlog: must be a whole number, not \"x\"\n"},
    {"defaults: { backend: sore }\n"
     "backends: { store: { servers: [\"127.0.0.1:1\"] } }\n"
     "listeners:\n"
     "  a: { bind: [\"127.0.0.1:0\"], tls: none, login: [basic] }\n"
     "  b: { bind: [\"127.0.0.1:0\"], tls: none, login: [basic] }\n",
        AT "1:22: unknown backend \"sore\"; did you mean \"store\"?\n"},
};

static void check_refused(struct str yaml, struct str wanted)
{
	struct problems problems;
	problems_init(&problems);
	struct config *config = config_load_text(FILE_NAME, yaml, &problems);
	check_str(yaml, text_str(&problems.text), wanted);
	check(yaml, !config);
}

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refusals); i++)
		check_refused(str_of(refusals[i].yaml), str_of(refusals[i].problems));
}

// Servers of a backend; NULL: sound.
static const struct {
	const char *server;
	const char *why;
} servers[] = {
    {"127.0.0.1:110", NULL},
    {"[::1]:110", NULL},
    {"mail.example.org:995", NULL},
    {"mail_1:1", NULL},
    {"mail", "\"mail\" lacks a port; write mail:110, or :995 with tls: tls"},
    {"mail:", "\"mail:\" is not host:port, such as mail.example.org:995 or "
              "\"[2001:db8::1]:995\""},
    {"mail:0", "\"mail:0\" is not host:port, such as mail.example.org:995 or "
               "\"[2001:db8::1]:995\""},
    {"127.0.0.1:0", "\"127.0.0.1:0\" is not host:port, such as mail.example.org:995 or "
                    "\"[2001:db8::1]:995\""},
    {"::1:110", "\"::1:110\" is not host:port, such as mail.example.org:995 or "
                "\"[2001:db8::1]:995\""},
    {"m\xc3\xbcnchen.example:110",
        "\"m\xc3\xbcnchen.example:110\" is not host:port, such as mail.example.org:995 or "
        "\"[2001:db8::1]:995\"" IN_XN},
    {"a b:110", "\"a b:110\" is not host:port, such as mail.example.org:995 or "
                "\"[2001:db8::1]:995\""},
};

static void test_servers(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(servers); i++) {
		char yaml[1024], wanted[1024] = "";
		snprintf(yaml, sizeof(yaml), "backends: { store: { servers: [\"%s\"] } }\n%s",
		    servers[i].server,
		    "listeners: { a: { bind: [\"127.0.0.1:0\"], tls: none, backend: store, "
		    "login: [basic] } }\n");
		if (servers[i].why)
			snprintf(wanted, sizeof(wanted), AT "1:32: servers: %s\n", servers[i].why);
		if (servers[i].why)
			check_refused(str_of(yaml), str_of(wanted));
		else {
			struct config *config = load(str_of(yaml));
			config_free(&config);
		}
	}
}

static void test_fingerprint(void **state)
{
	char yaml[1024], digits[3 * 32 + 1];
	(void)state;
	for (size_t i = 0; i < 32; i++)
		snprintf(digits + 3 * i, 4, "%s", i < 31 ? "aB:" : "aB");
	snprintf(yaml, sizeof(yaml), BACKEND "fingerprint: \"%s\" " BACKEND_END, digits);
	struct config *config = load(str_of(yaml));
	assert_string_equal(config->backends[0].options.fingerprint,
	    "abababababababababababababababababababababababababababababababab");
	config_free(&config);
}

// Where a relative name leads, by the name that the file was given.
static void test_paths(void **state)
{
	char *cwd = getcwd(NULL, 0), wanted[4200];
	(void)state;
	struct config *config = load_as("conf/popgate.conf", STR(SOUND));
	snprintf(wanted, sizeof(wanted), "%s/conf/cert.pem", cwd);
	assert_string_equal(config->certificates[0].options.chain, wanted);
	config_free(&config);
	config = load_as("popgate.conf", STR("log: { target: popgate.log }\n" SOUND));
	snprintf(wanted, sizeof(wanted), "%s/popgate.log", cwd);
	assert_string_equal(config->log.target, wanted);
	config_free(&config);
	free(cwd);
}

// What stands in a printed configuration but the comments.
static void strip_comments(char *text)
{
	char *to = text;
	for (char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), kept = len;
		while (kept && (line[kept] != '#' || line[kept - 1] != ' '))
			kept--;
		memmove(to, line, kept);
		to += kept;
		*to++ = '\n';
		line += len + (line[len] == '\n');
	}
	*to = '\0';
}

static void check_reloads(struct str yaml)
{
	struct config *first = load(yaml);
	char *printed = render(first);
	struct config *second = load_as("/elsewhere/popgate.conf", str_of(printed));
	char *reprinted = render(second);
	strip_comments(printed);
	strip_comments(reprinted);
	check_str(yaml, str_of(reprinted), str_of(printed));
	free(printed);
	free(reprinted);
	config_free(&first);
	config_free(&second);
}

static void test_effective_reloads(void **state)
{
	(void)state;
	check_reloads(str_of(example));
	check_reloads(STR("user: \"a # b\\\"\\\\\\u00e9\\u2028\\U0001f600\"\n" SOUND));
	check_reloads(STR("drain_timeout: 0\nworkers: auto\nlog:\n" SOUND));
	check_reloads(STR(BACKEND "capabilities: [], verify: false, tls: none " BACKEND_END));
}

static char *generate(bool (*render_it)(FILE *out))
{
	char *printed = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&printed, &len);
	assert_true(render_it(out));
	fclose(out);
	return printed;
}

// The sample as it is, and with everything that is commented out put in force,
// means the same.
static void test_sample(void **state)
{
	(void)state;
	char *sample = generate(config_render_sample);
	char *full = generate(config_render_sample);
	for (char *hash = full; (hash = strchr(hash, '#')); hash++)
		if (hash[1] != ' ') // comments in words have a space
			memmove(hash, hash + 1, strlen(hash));
	struct config *plain = load(str_of(sample)), *forced = load(str_of(full));
	assert_int_equal(forced->listeners[0].origins[LISTENER_OPTION_backlog], ORIGIN_defaults);
	char *printed = render(plain), *forced_printed = render(forced);
	strip_comments(printed);
	strip_comments(forced_printed);
	check_str(STR("sample"), str_of(forced_printed), str_of(printed));
	free(sample);
	free(full);
	free(printed);
	free(forced_printed);
	config_free(&plain);
	config_free(&forced);
}

// Each option stands in each output.
static void test_nothing_is_left_out(void **state)
{
	static bool (*const renders[])(FILE *) = {
	    config_render_sample, config_render_manual, config_render_schema, config_render_table};
	static const char *const fields[] = {
#define SECTION(...)
#define OPTION(section, field, ...) #field,
#define REQUIRED OPTION
#define KEYWORD OPTION
#define SECTION_END(...)
#include "proxy/config/options.def"
	};
	(void)state;
	for (size_t i = 0; i < NUM(renders); i++) {
		char *printed = generate(renders[i]);
		for (size_t j = 0; j < NUM(fields); j++)
			check(str_of(fields[j]), strstr(printed, fields[j]));
		free(printed);
	}
}

static void test_more_problems_than_fit(void **state)
{
	static char yaml[65536];
	struct text text = TEXT(yaml);
	struct problems problems;
	(void)state;
	for (unsigned i = 0; i < 500; i++)
		text_addf(&text, "unknown%u: 1\n", i);
	text_add(&text, STR(SOUND));
	problems_init(&problems);
	assert_null(config_load_text(FILE_NAME, text_str(&text), &problems));
	assert_int_equal(problems.num, 500);
	struct str last = STR("\nthere are more problems than fit here\n");
	assert_true(str_has_nocase(text_str(&problems.text), last));
	assert_string_equal(problems.room, problems.text.at);
}

static void test_size_limits(void **state)
{
	enum { SIZE = (1 << 20) + 1 };
	char *yaml = malloc(SIZE);
	(void)state;
	memset(yaml, '#', SIZE);
	check_refused((struct str){yaml, SIZE}, STR(AT " larger than 1024 KiB\n"));
	memset(yaml, '[', SIZE);
	check_refused((struct str){yaml, SIZE - 1}, STR(AT "1:17: nested too deeply\n"));
	free(yaml);
}

static void test_files(void **state)
{
	char path[64];
	struct problems problems;
	(void)state;
	problems_init(&problems);
	assert_null(config_load("no/such/file", &problems));
	assert_string_equal(problems.room, "no/such/file: cannot be read: No such file or "
	                                   "directory; see whether its name is right\n");
	problems_init(&problems);
	assert_null(config_load("/", &problems));
	assert_string_equal(
	    problems.room, "/: cannot be read: Is a directory; name an ordinary file\n");
	FILE *file = tmpfile();
	fputs(example, file);
	fflush(file);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
	problems_init(&problems);
	struct config *config = config_load(path, &problems);
	fclose(file);
	assert_non_null(config);
	config_free(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_policies),
	    cmocka_unit_test(test_origins),
	    cmocka_unit_test(test_readings),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_servers),
	    cmocka_unit_test(test_fingerprint),
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_effective_reloads),
	    cmocka_unit_test(test_sample),
	    cmocka_unit_test(test_nothing_is_left_out),
	    cmocka_unit_test(test_more_problems_than_fit),
	    cmocka_unit_test(test_size_limits),
	    cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
