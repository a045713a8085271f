"""The rules that Bazel and BoringSSL load from @rules_cc: Bazel's built-in ones, unchanged."""

cc_binary = native.cc_binary
cc_library = native.cc_library
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
cc_test = native.cc_test
