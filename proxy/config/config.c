// config.c: from the file to the struct.  See config.h.
//
// Each section is filled in the same way: first the defaults (for a listener:
// what stands in `defaults` over the built-in ones), then what the file gives
// over them.  options.def drives it all; no option is named here.
#include "proxy/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/base/file.h"
#include "proxy/config/check.h"
#include "proxy/config/part.h"

static struct shown title_of(const char *noun, const char *name)
{
	struct shown title;
	struct text text = TEXT(title.at);
	text_addf(&text, "%s", noun);
	if (name)
		text_addf(&text, " %s", shown(str_of(name)).at);
	return title;
}

static struct part part_of_site(struct config *config)
{
	return (struct part){
	    &option_sections[SECTION_site], &config->site, config->site_places, {"the top level"}};
}

static struct part part_of_log(struct config *config)
{
	return (struct part){
	    &option_sections[SECTION_log], &config->log, config->log_places, {"log"}};
}

static struct part part_of_metrics(struct config *config)
{
	return (struct part){&option_sections[SECTION_metrics], &config->metrics,
	    config->metrics_places, {"metrics"}};
}

static struct part part_of_geoip(struct config *config)
{
	return (struct part){
	    &option_sections[SECTION_geoip], &config->geoip, config->geoip_places, {"geoip"}};
}

static struct part part_of_resolver(struct config *config)
{
	return (struct part){&option_sections[SECTION_resolver], &config->resolver,
	    config->resolver_places, {"resolver"}};
}

static struct part part_of_users(struct config *config)
{
	return (struct part){
	    &option_sections[SECTION_users], &config->users, config->users_places, {"users"}};
}

static struct part part_of_winbind(struct config *config)
{
	return (struct part){&option_sections[SECTION_winbind], &config->winbind,
	    config->winbind_places, {"winbind"}};
}

static struct part part_of_certificate(struct certificate_config *certificate)
{
	return (struct part){&option_sections[SECTION_certificate], &certificate->options,
	    certificate->places, title_of("certificate", certificate->name)};
}

static struct part part_of_backend(struct backend_config *backend)
{
	return (struct part){&option_sections[SECTION_backend], &backend->options, backend->places,
	    title_of("backend", backend->name)};
}

static struct part part_of_policy(struct policy_config *policy)
{
	return (struct part){&option_sections[SECTION_policy], &policy->options, policy->places,
	    title_of("policy", policy->name)};
}

static struct part part_of_listener(struct listener_config *listener)
{
	return (struct part){&option_sections[SECTION_listener], &listener->options,
	    listener->places,
	    listener->name ? title_of("listener", listener->name) : title_of("defaults", NULL)};
}

// A section of the file; one without entries when it is not there.
static struct node find_map(const struct load *load, const char *key)
{
	struct node map;
	if (node_find(load->root, str_of(key), &map) && part_is_map(load, map, key))
		return map;
	return (struct node){load->root.syntax, 0};
}

static void read_certificates(const struct load *load)
{
	struct config *config = load->config;
	struct node map = find_map(load, option_sections[SECTION_certificate].key);
	config->certificates = xcalloc(node_count(map), sizeof(*config->certificates));
	for (size_t i = 0; i < node_count(map); i++) {
		struct certificate_config *certificate =
		    &config->certificates[config->num_certificates++];
		unsigned problems_before = load->problems->num;
		certificate->name = part_read_name(load, map, i);
		certificate->place = node_key_place(map, i);
		struct part part = part_of_certificate(certificate);
		part_put_defaults(load, &part);
		part_read_named(load, &part, map, i);
		if (load->problems->num == problems_before)
			check_certificate(config, certificate, load->problems);
	}
}

static void read_backends(const struct load *load)
{
	struct config *config = load->config;
	struct node map = find_map(load, option_sections[SECTION_backend].key);
	config->backends = xcalloc(node_count(map), sizeof(*config->backends));
	for (size_t i = 0; i < node_count(map); i++) {
		struct backend_config *backend = &config->backends[config->num_backends++];
		unsigned problems_before = load->problems->num;
		backend->name = part_read_name(load, map, i);
		backend->place = node_key_place(map, i);
		struct part part = part_of_backend(backend);
		part_put_defaults(load, &part);
		part_read_named(load, &part, map, i);
		if (load->problems->num == problems_before)
			check_backend(config, backend, load->problems);
	}
}

static void read_policies(const struct load *load)
{
	struct config *config = load->config;
	struct node map = find_map(load, option_sections[SECTION_policy].key);
	config->policies = xcalloc(node_count(map), sizeof(*config->policies));
	for (size_t i = 0; i < node_count(map); i++) {
		struct policy_config *policy = &config->policies[config->num_policies++];
		policy->name = part_read_name(load, map, i);
		policy->place = node_key_place(map, i);
		struct part part = part_of_policy(policy);
		part_put_defaults(load, &part);
		part_read_named(load, &part, map, i);
	}
}

// What `defaults` says, over the built-in defaults; it is a listener without a
// name.
static void read_site_defaults(const struct load *load, struct listener_config *defaults)
{
	struct part part = part_of_listener(defaults);
	part_put_defaults(load, &part);
	part_read(load, &part, find_map(load, "defaults"));
}

static void copy_listener(struct listener_config *to, const struct listener_config *from)
{
	const struct section_row *section = &option_sections[SECTION_listener];
	for (size_t i = 0; i < section->num_options; i++) {
		const struct option_row *option = &section->options[i];
		union option_value value = option_get(option, &from->options);
		option_put(option, &to->options, value_copy(option->type, &value));
	}
}

static void read_listener(const struct load *load, const struct listener_config *defaults,
    struct listener_config *listener, struct node map, size_t index)
{
	listener->name = part_read_name(load, map, index);
	listener->place = node_key_place(map, index);
	struct part part = part_of_listener(listener);
	copy_listener(listener, defaults);
	memcpy(listener->places, defaults->places, sizeof(listener->places));
	part_read_named(load, &part, map, index);
	for (size_t i = 0; i < LISTENER_OPTIONS; i++) {
		struct place place = listener->places[i], inherited = defaults->places[i];
		bool is_inherited =
		    place.line == inherited.line && place.column == inherited.column;
		listener->origins[i] = !place.line    ? ORIGIN_default
		                       : is_inherited ? ORIGIN_defaults
		                                      : ORIGIN_own;
	}
}

// A listener is checked as a whole only when each of its options is sound, so
// that one mistake is told once.
static void read_listeners(const struct load *load)
{
	struct config *config = load->config;
	struct node map = find_map(load, option_sections[SECTION_listener].key);
	struct listener_config defaults = {.name = NULL};
	unsigned problems_before_all = load->problems->num;
	read_site_defaults(load, &defaults);
	bool defaults_sound = load->problems->num == problems_before_all;
	config->listeners = xcalloc(node_count(map), sizeof(*config->listeners));
	for (size_t i = 0; i < node_count(map); i++) {
		unsigned problems_before = load->problems->num;
		struct listener_config *listener = &config->listeners[config->num_listeners++];
		read_listener(load, &defaults, listener, map, i);
		if (defaults_sound && load->problems->num == problems_before)
			check_listener(config, listener, load->problems);
	}
	option_free_all(&option_sections[SECTION_listener], &defaults.options);
}

static void read_single(const struct load *load, const struct part *part, struct node map)
{
	part_put_defaults(load, part);
	part_read(load, part, map);
}

static void read_all(const struct load *load)
{
	const struct part site = part_of_site(load->config), log = part_of_log(load->config),
	                  metrics = part_of_metrics(load->config),
	                  geoip = part_of_geoip(load->config),
	                  resolver = part_of_resolver(load->config),
	                  users = part_of_users(load->config),
	                  winbind = part_of_winbind(load->config);
	if (!part_is_map(load, load->root, "the file"))
		return;
	read_single(load, &site, load->root);
	check_site(load->config, load->problems);
	read_single(load, &log, find_map(load, log.section->key));
	read_single(load, &metrics, find_map(load, metrics.section->key));
	read_single(load, &geoip, find_map(load, geoip.section->key));
	read_single(load, &resolver, find_map(load, resolver.section->key));
	check_resolver(load->config, load->problems);
	read_single(load, &users, find_map(load, users.section->key));
	read_single(load, &winbind, find_map(load, winbind.section->key));
	read_certificates(load);
	read_backends(load);
	read_policies(load);
	read_listeners(load);
	check_metrics(load->config, load->problems);
	if (!node_count(find_map(load, option_sections[SECTION_listener].key)))
		problems_add(load->problems, load->config->path, (struct place){0},
		    "no listeners; say under \"listeners\" where clients connect");
}

struct config *config_load_text(const char *path, struct str yaml, struct problems *problems)
{
	unsigned problems_before = problems->num;
	struct syntax *syntax = syntax_read(path, yaml, problems);
	if (!syntax)
		return NULL;
	struct config *config = xcalloc(1, sizeof(*config));
	config->path = str_dup(str_of(path));
	const struct load load = {config, problems, syntax_root(syntax)};
	read_all(&load);
	syntax_free(&syntax);
	if (problems->num != problems_before)
		config_free(&config);
	return config;
}

struct config *config_load(const char *path, struct problems *problems)
{
	struct config *config = NULL;
	char *room = xmalloc(SYNTAX_SIZE_MAX + 1); // one more tells a file that is too large
	FILE *file = file_open(path);
	errno = file ? 0 : errno;
	size_t len = file ? fread(room, 1, SYNTAX_SIZE_MAX + 1, file) : 0;
	if (!file || ferror(file))
		problems_add(problems, path, (struct place){0}, "cannot be read: %s%s",
		    file_problem(), file_remedy());
	else
		config = config_load_text(path, (struct str){room, len}, problems);
	if (file)
		fclose(file);
	free(room);
	return config;
}

static void free_certificates(struct config *c)
{
	for (size_t i = 0; i < c->num_certificates; i++) {
		option_free_all(&option_sections[SECTION_certificate], &c->certificates[i].options);
		free(c->certificates[i].name);
	}
	free(c->certificates);
}

static void free_backends(struct config *c)
{
	for (size_t i = 0; i < c->num_backends; i++) {
		option_free_all(&option_sections[SECTION_backend], &c->backends[i].options);
		free(c->backends[i].name);
	}
	free(c->backends);
}

static void free_policies(struct config *c)
{
	for (size_t i = 0; i < c->num_policies; i++) {
		option_free_all(&option_sections[SECTION_policy], &c->policies[i].options);
		free(c->policies[i].name);
	}
	free(c->policies);
}

static void free_listeners(struct config *c)
{
	for (size_t i = 0; i < c->num_listeners; i++) {
		option_free_all(&option_sections[SECTION_listener], &c->listeners[i].options);
		free(c->listeners[i].certificates);
		free(c->listeners[i].server_names);
		free(c->listeners[i].name);
	}
	free(c->listeners);
}

void config_free(struct config **config)
{
	struct config *c = *config;
	if (!c)
		return;
	option_free_all(&option_sections[SECTION_site], &c->site);
	option_free_all(&option_sections[SECTION_log], &c->log);
	option_free_all(&option_sections[SECTION_metrics], &c->metrics);
	option_free_all(&option_sections[SECTION_geoip], &c->geoip);
	option_free_all(&option_sections[SECTION_resolver], &c->resolver);
	option_free_all(&option_sections[SECTION_users], &c->users);
	option_free_all(&option_sections[SECTION_winbind], &c->winbind);
	free_certificates(c);
	free_backends(c);
	free_policies(c);
	free_listeners(c);
	free(c->path);
	free(c);
	*config = NULL;
}
