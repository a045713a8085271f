#include "proxy/cert_command.h"
bool cert_install(struct cert_command *command)
{
	(void)command;
	return false;
}
bool cert_show(struct cert_command *command)
{
	(void)command;
	return false;
}
bool cert_check(struct cert_command *command)
{
	(void)command;
	return false;
}
