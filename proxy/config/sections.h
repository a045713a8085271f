// sections.h: for each section of options.def a struct of its values and an
// enum of its options: struct site_options { uint64_t workers; ... }, enum
// site_option { SITE_OPTION_workers, ..., SITE_OPTIONS }, and so on.
//
// Part of config.h, which has the types that fields are made of.  A field has
// the C type that types.def names, so that a row and its field cannot differ.
#ifndef POPGATE_PROXY_CONFIG_SECTIONS_H
#define POPGATE_PROXY_CONFIG_SECTIONS_H

#define SECTION_UPPER_site SITE
#define SECTION_UPPER_log LOG
#define SECTION_UPPER_metrics METRICS
#define SECTION_UPPER_geoip GEOIP
#define SECTION_UPPER_resolver RESOLVER
#define SECTION_UPPER_users USERS
#define SECTION_UPPER_winbind WINBIND
#define SECTION_UPPER_certificate CERTIFICATE
#define SECTION_UPPER_backend BACKEND
#define SECTION_UPPER_policy POLICY
#define SECTION_UPPER_listener LISTENER
#define SECTION_JOIN(a, b) SECTION_JOIN_(a, b)
#define SECTION_JOIN_(a, b) a##b

// Never instantiated: it gives each type of types.def a name for __typeof__.
struct option_c_types {
#define TYPE(name, c_type, ...) c_type name;
#include "proxy/config/types.def"
#undef TYPE
};

// clang-format off
#define REQUIRED OPTION

#define SECTION(section, ...) struct section##_options {
#define OPTION(section, field, type, ...) __typeof__(((struct option_c_types *)0)->type) field;
#define KEYWORD(section, key, ...) OPTION(section, key##_, __VA_ARGS__)
#define SECTION_END(section) };
#include "proxy/config/options.def"
#undef SECTION
#undef OPTION
#undef KEYWORD
#undef SECTION_END

#define SECTION(section, ...) enum section##_option {
#define OPTION(section, field, ...) SECTION_JOIN(SECTION_UPPER_##section, _OPTION_##field),
#define KEYWORD OPTION
#define SECTION_END(section) SECTION_JOIN(SECTION_UPPER_##section, _OPTIONS) };
#include "proxy/config/options.def"
#undef SECTION
#undef OPTION
#undef KEYWORD
#undef SECTION_END

#undef REQUIRED
// clang-format on

#endif
