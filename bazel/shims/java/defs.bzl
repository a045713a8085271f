"""The rules that Bazel loads from @rules_java: its own built-in ones, unchanged."""

java_import = native.java_import
java_runtime = native.java_runtime
java_toolchain = native.java_toolchain
