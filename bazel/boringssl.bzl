"""Where @boringssl comes from. WORKSPACE uses it; it promises @boringssl//:ssl and @boringssl//:crypto.

By default it is the upstream tarball of Debian's source package, built by BoringSSL's own BUILD file with its
assembler. Debian's patches are left out: they touch tests, a generator and processors that Debian does not release for.
The tarball is taken from the first of the machine's own apt sources that holds it, with apt's own transports,
proxies and credentials, as any user, and nothing of the system changes. Its checksum is pinned here.
BORINGSSL_ROOT=<prefix> takes a ready build instead: <prefix>/include/openssl, <prefix>/lib/lib{ssl,crypto}.a.

Not taken: Debian's binary package, because it is compiled with OPENSSL_SMALL and signs P-256 several times slower;
`apt-get source`, because it wants deb-src entries, fetches an index of all of Debian, and knows only the version of
the release that it runs on.
"""

_NAME = "android-platform-external-boringssl"
_VERSION = "13.0.0+r24"
_SHA256 = "583b7aeee1fca68b8244d086cea6fca23bd19d517bd63f0b9de714e048f92a7d"
_POOL = "pool/main/a/%s/%s_%s.orig.tar.xz" % (_NAME, _NAME, _VERSION)

# Optimised across its files where popgate is linked. The ordinary machine code stands beside: whatever else
# has some of BoringSSL in it links that, with -fno-lto, and need not wait for it.
_LTO = {
    "@popgate//bazel:opt": ["-flto=auto", "-ffat-lto-objects"],
    "//conditions:default": [],
}

_APT_HELPER = ["/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root"]  # its own user may not write here
_OTHER_WAY = "\nOr set BORINGSSL_ROOT to the prefix of a built BoringSSL (see the top of bazel/boringssl.bzl)."

_PREFIX_BUILD = """
cc_library(
    name = "crypto",
    srcs = ["lib/libcrypto.a"],
    hdrs = glob(["include/openssl/**"]),
    includes = ["include"],
    linkopts = ["-lstdc++", "-lpthread"],  # newer versions have C++ inside libcrypto
    visibility = ["//visibility:public"],
)

cc_library(
    name = "ssl",
    srcs = ["lib/libssl.a"],
    visibility = ["//visibility:public"],
    deps = [":crypto"],
)
"""

def _use_prefix(rctx, root):
    for file in ["include/openssl/ssl.h", "lib/libssl.a", "lib/libcrypto.a"]:
        if not rctx.path(root + "/" + file).exists:
            fail("BORINGSSL_ROOT=%s holds no %s. Name an absolute prefix that does, or unset it." % (root, file))
    rctx.symlink(root + "/include", "include")
    rctx.symlink(root + "/lib", "lib")
    rctx.file("BUILD", _PREFIX_BUILD)

def _archives(rctx):
    """The base addresses of apt's sources, in apt's order."""
    if not rctx.path(_APT_HELPER[0]).exists:
        fail("BoringSSL's source is fetched with apt, and there is no %s here." % _APT_HELPER[0] + _OTHER_WAY)
    targets = rctx.execute(["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)"])
    archives = []
    for uri in targets.stdout.split("\n"):
        if uri.startswith("mirror+file:"):  # apt-helper cannot look into such a list: an address per line
            lines = rctx.read(uri[len("mirror+file:"):].rstrip("/")).split("\n")
            lines = [line.replace("\t", " ").split(" ")[0] for line in lines]
            archives += [line.rstrip("/") + "/" for line in lines if line and line[0] != "#"]
        elif uri:
            archives.append(uri)
    if not archives:
        fail("apt has no package source. Add Debian's (component main) to /etc/apt/sources.list." + _OTHER_WAY)
    return {uri: True for uri in archives}.keys()

def _use_debian(rctx):
    said = ""
    for archive in _archives(rctx):
        rctx.report_progress("fetching " + archive + _POOL)
        got = rctx.execute(_APT_HELPER + ["download-file", archive + _POOL, "orig.tar.xz", "SHA256:" + _SHA256])
        if got.return_code == 0:
            break
        said += got.stderr
        if "Hash Sum mismatch" in got.stderr:
            fail(("%s is not the file whose checksum is pinned in bazel/boringssl.bzl.\n" +
                  "Something between the archive and this machine changed it; ask again or use another mirror.\n%s") %
                 (archive + _POOL, got.stderr) + _OTHER_WAY)
    if not rctx.path("orig.tar.xz").exists:
        fail("None of apt's sources gave the source of %s %s:\n%s" % (_NAME, _VERSION, said) +
             "Check the network, and that Debian's main archive is among apt's sources." + _OTHER_WAY)
    rctx.extract("orig.tar.xz", stripPrefix = "%s-%s" % (_NAME, _VERSION))
    rctx.delete("orig.tar.xz")

    # Optimised in every configuration, no warnings from code that is not ours, and free of the C++ runtime library.
    # Its C is full of arithmetic that the undefined-behaviour sanitizer objects to.
    build = rctx.read("BUILD")
    build = build.replace('"-Werror",', '"-w", "-O3", "-fno-sanitize=undefined",')
    build = build.replace('"-std=c++14",', '"-std=c++14", "-fno-exceptions", "-fno-rtti",')
    build = build.replace("boringssl_copts = ", "boringssl_copts = select(%s) + " % repr(_LTO), 1)
    rctx.file("BUILD", build)

def _boringssl_impl(rctx):
    root = rctx.os.environ.get("BORINGSSL_ROOT", "")
    if root:
        _use_prefix(rctx, root)
    else:
        _use_debian(rctx)

boringssl_repository = repository_rule(
    implementation = _boringssl_impl,
    environ = ["BORINGSSL_ROOT"],
)
