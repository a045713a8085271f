// server_name.h: the form of a rule of the option server_names: NAME at BACKEND.
#ifndef POPGATE_PROXY_CONFIG_SERVER_NAME_H
#define POPGATE_PROXY_CONFIG_SERVER_NAME_H

#include "proxy/base/str.h"

// Slices of the rule.  False when it is none, by its words alone.
bool server_name_split(struct str rule, struct str *out_name, struct str *out_backend);

#endif
