// render.c: the configuration in force.  See render.h.
#include "proxy/config/render.h"

#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/config/options.h"

enum { COMMENT_COLUMN = 48 };

// What is printed, and where its values come from.
struct page {
	FILE *out;
	const char *path; // of the file, for comments
};

// A comment must end with its line, whatever a folder is called.
static void print_path(const struct page *page)
{
	for (const char *c = page->path; *c; c++)
		fputc(*c >= 0x20 && *c < 0x7f ? *c : '?', page->out);
}

static void print_origin(const struct page *page, struct place place, enum origin origin)
{
	if (origin == ORIGIN_default) {
		fputs("  # default\n", page->out);
		return;
	}
	fputs(origin == ORIGIN_defaults ? "  # defaults, " : "  # ", page->out);
	print_path(page);
	fprintf(page->out, ":%u\n", place.line);
}

// "field: value", padded so that the comments stand below each other.
static void print_value(const struct page *page, const char *indent,
    const struct option_row *option, const void *values)
{
	char *line = NULL;
	size_t len = 0;
	union option_value value = option_get(option, values);
	FILE *memory = open_memstream(&line, &len);
	BUG_ON(!memory); // fails only when memory is out
	fprintf(memory, "%s%s: ", indent, option->name);
	value_print(option->type, &value, NOTATION_YAML, memory);
	BUG_ON(fclose(memory));
	fprintf(page->out, "%-*s", COMMENT_COLUMN, line);
	free(line);
}

// A struct's options; without `origins`, what is not in the file is a default.
static void print_options(const struct page *page, enum section section, const void *values,
    const struct place *places, const enum origin *origins)
{
	const struct section_row *row = &option_sections[section];
	const char *indent = row->example ? "    " : *row->key ? "  " : "";
	for (size_t i = 0; i < row->num_options; i++) {
		enum origin origin = places[i].line ? ORIGIN_own : ORIGIN_default;
		print_value(page, indent, &row->options[i], values);
		print_origin(page, places[i], origins ? origins[i] : origin);
	}
}

static void print_heading(const struct page *page, enum section section, size_t num)
{
	fprintf(page->out, "\n%s:%s\n", option_sections[section].key, num ? "" : " {}");
}

static void print_name(const struct page *page, const char *name, struct place place)
{
	char line[80];
	struct text text = TEXT(line);
	text_addf(&text, "  %s:", name);
	fprintf(page->out, "%-*s", COMMENT_COLUMN, line);
	print_origin(page, place, ORIGIN_own);
}

static void print_certificates(const struct page *page, const struct config *config)
{
	print_heading(page, SECTION_certificate, config->num_certificates);
	for (size_t i = 0; i < config->num_certificates; i++) {
		const struct certificate_config *certificate = &config->certificates[i];
		print_name(page, certificate->name, certificate->place);
		print_options(
		    page, SECTION_certificate, &certificate->options, certificate->places, NULL);
	}
}

static void print_backends(const struct page *page, const struct config *config)
{
	print_heading(page, SECTION_backend, config->num_backends);
	for (size_t i = 0; i < config->num_backends; i++) {
		const struct backend_config *backend = &config->backends[i];
		print_name(page, backend->name, backend->place);
		print_options(page, SECTION_backend, &backend->options, backend->places, NULL);
	}
}

static void print_policies(const struct page *page, const struct config *config)
{
	print_heading(page, SECTION_policy, config->num_policies);
	for (size_t i = 0; i < config->num_policies; i++) {
		const struct policy_config *policy = &config->policies[i];
		print_name(page, policy->name, policy->place);
		print_options(page, SECTION_policy, &policy->options, policy->places, NULL);
	}
}

static void print_single(
    const struct page *page, enum section section, const void *values, const struct place *places)
{
	fprintf(page->out, "\n%s:\n", option_sections[section].key);
	print_options(page, section, values, places, NULL);
}

static void print_listeners(const struct page *page, const struct config *config)
{
	print_heading(page, SECTION_listener, config->num_listeners);
	for (size_t i = 0; i < config->num_listeners; i++) {
		const struct listener_config *listener = &config->listeners[i];
		print_name(page, listener->name, listener->place);
		print_options(page, SECTION_listener, &listener->options, listener->places,
		    listener->origins);
	}
}

bool config_render_effective(const struct config *config, FILE *out)
{
	const struct page page = {out, config->path};
	fputs("# The configuration in force of ", out);
	print_path(&page);
	fputs("; what comes from where is told behind each value.\n", out);
	print_options(&page, SECTION_site, &config->site, config->site_places, NULL);
	print_single(&page, SECTION_log, &config->log, config->log_places);
	print_single(&page, SECTION_metrics, &config->metrics, config->metrics_places);
	print_single(&page, SECTION_geoip, &config->geoip, config->geoip_places);
	print_single(&page, SECTION_resolver, &config->resolver, config->resolver_places);
	print_single(&page, SECTION_users, &config->users, config->users_places);
	print_single(&page, SECTION_winbind, &config->winbind, config->winbind_places);
	print_certificates(&page, config);
	print_backends(&page, config);
	print_policies(&page, config);
	print_listeners(&page, config);
	return !fflush(out) && !ferror(out);
}
