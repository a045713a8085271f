// render.h: everything that is printed about options: a configuration as it is
// in force, and what options.def says about any.
//
// config_render_effective is `popgate config`; the others are called by
// generate.c while building.  False when writing failed.
#ifndef POPGATE_PROXY_CONFIG_RENDER_H
#define POPGATE_PROXY_CONFIG_RENDER_H

#include <stdio.h>

#include "proxy/config/config.h"

// All settings, each with the place it comes from as a comment: "default",
// "defaults, FILE:LINE" or "FILE:LINE".  It loads again, to the same values.
bool config_render_effective(const struct config *config, FILE *out);

// A file with every option: those that must be given with an example, the
// others commented out with their defaults.  It loads as it is.
bool config_render_sample(FILE *out);

// popgate.conf(5), for mdoc.
bool config_render_manual(FILE *out);

// A JSON schema (draft 7), with which editors complete and check the file.
bool config_render_schema(FILE *out);

// A table in Markdown, for the README.
bool config_render_table(FILE *out);

#endif
