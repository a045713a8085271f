// cert_show.c: `popgate cert show`: what certificates say.  See cert_command.h.
#include <stdio.h>

#include "certs/describe.h"
#include "proxy/cert_command.h"

static bool show_file(const struct cert_command *command, const char *path)
{
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room);
	return describe_file(path, command->now, stdout, &why) || verbs_complain("%s", room);
}

static bool show_configured(
    const struct cert_command *command, const struct certificate_config *certificate)
{
	printf("%s (%s)\n", certificate->name, certificate->options.chain);
	return show_file(command, certificate->options.chain);
}

static bool show_all(const struct cert_command *command)
{
	bool shown_all = true;
	for (size_t i = 0; i < command->config->num_certificates; i++) {
		fputs(i ? "\n" : "", stdout);
		shown_all &= show_configured(command, &command->config->certificates[i]);
	}
	return shown_all;
}

// A file has to be named without a configuration, a name with one.
bool cert_show(struct cert_command *command)
{
	const char *operand = command->call.operand;
	if (operand && !cert_value(command, CERT_OPTION_config))
		return show_file(command, operand);
	if (!cert_load_config(command))
		return false;
	if (!operand)
		return show_all(command);
	const struct certificate_config *certificate = cert_find(command, operand);
	return certificate && show_configured(command, certificate);
}
