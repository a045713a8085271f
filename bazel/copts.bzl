"""COPTS: how popgate's own C is compiled. Every cc_* target of ours says `copts = COPTS`; nobody else's code does.

What holds for all code, ours or not (hardening, sanitizers), is in .bazelrc.
-Wsign-conversion is off: in C it warns where size_t and ssize_t meet, which is everywhere that bytes are read.
"""

COPTS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-Wno-sign-conversion",
    "-Wformat=2",
    "-Wmissing-prototypes",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wswitch-enum",
    "-Wundef",
    "-Wvla",
    "-Wwrite-strings",
] + select({
    # The checks need an optimiser, and the sanitizers do better without them.
    "//bazel:opt": ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
    "//conditions:default": [],
})
