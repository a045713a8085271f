"""fuzz_target: one fuzz target, in the BUILD file of tests/fuzz.

In an ordinary build it is a test that replays its seeds, corpus/<name>/*, through a small main (//tests/fuzz:replay).
With --config=fuzz the same target is the libFuzzer binary:

    bazel build --config=fuzz //tests/fuzz:<name>
    bazel-bin/tests/fuzz/<name> tests/fuzz/corpus/<name>

One target is both, so that what the fuzzer eats and what the tests replay cannot drift apart.
"""

load("//bazel:copts.bzl", "COPTS")

def fuzz_target(name, srcs, deps):
    """Declares the target.

    Args:
      name: its name, and the folder under corpus/ that holds its seeds; there must be at least one.
      srcs: C files; one defines LLVMFuzzerTestOneInput.
      deps: what they need.
    """
    seeds = native.glob(["corpus/%s/*" % name])
    if not seeds:
        fail("corpus/%s holds no seed" % name)
    native.cc_test(
        name = name,
        size = "small",
        srcs = srcs,
        args = ["$(rootpath %s)" % seed for seed in seeds],
        copts = COPTS,
        data = seeds,
        linkopts = select({
            "//bazel:fuzz": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps + select({
            "//bazel:fuzz": [],
            "//conditions:default": ["//tests/fuzz:replay"],
        }),
    )
