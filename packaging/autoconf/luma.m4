# luma.m4 - the project's own configure macros. Each is used once or once per item in configure.ac.

# LUMA_COMPILER: gcc >= 12 or clang >= 14, the C17 dialect and the warnings everything is built with.
AC_DEFUN([LUMA_COMPILER], [
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#if defined(__clang__)
#if __clang_major__ < 14
#error too old
#endif
#elif !defined(__GNUC__) || __GNUC__ < 12
#error too old
#endif
]])], [], [AC_MSG_ERROR([gcc 12 or clang 14 is needed (Debian: gcc, Fedora: gcc)])])
LUMA_WARNINGS="-Wall -Wextra -Wshadow -Wconversion -Wvla -Wundef -Wmissing-prototypes -Wstrict-prototypes"
AC_SUBST([LUMA_WARNINGS])
])

# LUMA_WERROR: warnings are errors in a git checkout, warnings in a release.
AC_DEFUN([LUMA_WERROR], [
AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat warnings as errors (default: in git checkouts)])],
    [], [AS_IF([test -e "$srcdir/.git"], [enable_werror=yes], [enable_werror=no])])
AS_IF([test "x$enable_werror" = xyes], [WERROR_CFLAGS=-Werror], [WERROR_CFLAGS=])
AC_SUBST([WERROR_CFLAGS])
])

# LUMA_DEBUG_BUILD: slow assertions, named faults and the lock witness.
AC_DEFUN([LUMA_DEBUG_BUILD], [
AC_ARG_ENABLE([debug],
    [AS_HELP_STRING([--enable-debug], [slow assertions, fault points and lock order checks])],
    [], [enable_debug=no])
AS_IF([test "x$enable_debug" = xyes],
    [DEBUG_CPPFLAGS=-DLUMA_DEBUG=1 DEBUG_CFLAGS="-Og -g3"], [DEBUG_CPPFLAGS= DEBUG_CFLAGS=])
AC_SUBST([DEBUG_CPPFLAGS])
AC_SUBST([DEBUG_CFLAGS])
])

# LUMA_SANITIZERS: --enable-sanitizers=address,undefined or =thread.
AC_DEFUN([LUMA_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers=LIST], [address,undefined or thread])],
    [], [enable_sanitizers=no])
SANITIZER_CFLAGS= SANITIZERS=no
AS_CASE([$enable_sanitizers],
    [no], [],
    [yes], [AC_MSG_ERROR([--enable-sanitizers wants a list: address,undefined or thread])],
    [SANITIZERS=$enable_sanitizers
     SANITIZER_CFLAGS="-fsanitize=$enable_sanitizers -fno-sanitize-recover=all"
     luma_saved_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
     AC_LINK_IFELSE([AC_LANG_PROGRAM()], [],
         [AC_MSG_ERROR([$CC does not link with $SANITIZER_CFLAGS (Debian: libclang-rt-14-dev for clang, Fedora: libasan libubsan libtsan)])])
     CFLAGS=$luma_saved_CFLAGS])
AC_SUBST([SANITIZERS])
AC_SUBST([SANITIZER_CFLAGS])
])

# LUMA_FUZZING: clang's libFuzzer; the targets are tests/fuzz/fuzz_*. Tracing every comparison finds more and
# doubles what a test takes.
AC_DEFUN([LUMA_FUZZING], [
AC_ARG_ENABLE([fuzzing],
    [AS_HELP_STRING([--enable-fuzzing@<:@=counters@:>@], [build the libFuzzer targets (wants CC=clang); counters: comparisons are not traced, for a build that tests run with, too])],
    [], [enable_fuzzing=no])
FUZZ_LDFLAGS=
AS_IF([test "x$enable_fuzzing" != xno],
    [FUZZ_LDFLAGS=-fsanitize=fuzzer
     AS_IF([test -z "$SANITIZER_CFLAGS"], [SANITIZER_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all"
                                           SANITIZERS=address,undefined])
     AS_CASE([$enable_fuzzing],
         [yes], [SANITIZER_CFLAGS="$SANITIZER_CFLAGS -fsanitize=fuzzer-no-link"],
         [counters], [SANITIZER_CFLAGS="$SANITIZER_CFLAGS -fsanitize-coverage=inline-8bit-counters,pc-table"],
         [AC_MSG_ERROR([--enable-fuzzing=$enable_fuzzing: yes, no or counters])])
     luma_saved_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS -fsanitize=fuzzer"
     AC_LINK_IFELSE([AC_LANG_SOURCE([[
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) { (void) data; (void) bytes; return 0; }
]])], [], [AC_MSG_ERROR([--enable-fuzzing wants CC=clang with libFuzzer (Debian: clang libclang-rt-14-dev, Fedora: clang compiler-rt)])])
     CFLAGS=$luma_saved_CFLAGS])
AC_SUBST([FUZZ_LDFLAGS])
# A shared library refers to nothing that is not there, but for a sanitizer's functions: clang has them in programs only.
# What static libraries bring stays inside, but for a sanitizer's malloc, which the C library has to find.
DEFS_LDFLAGS=-Wl,-z,defs
HIDDEN_LDFLAGS=-Wl,--exclude-libs,ALL
AS_IF([test "x$SANITIZERS" != xno], [DEFS_LDFLAGS= HIDDEN_LDFLAGS=])
AC_SUBST([DEFS_LDFLAGS])
AC_SUBST([HIDDEN_LDFLAGS])
AM_CONDITIONAL([FUZZING], [test "x$enable_fuzzing" != xno])
])

# LUMA_PKG(VAR, MODULES, DEBIAN, FEDORA): look for a library by pkg-config; whoever needs it says so.
AC_DEFUN([LUMA_PKG], [
PKG_CHECK_MODULES([$1], [$2], [luma_have_$1=yes], [luma_have_$1=no])
luma_name_$1="$2 (Debian: $3, Fedora: $4)"
])

# LUMA_LIB(VAR, HEADER, LIBS, STATEMENT, DEBIAN, FEDORA): the same for libraries without a .pc file.
AC_DEFUN([LUMA_LIB], [
AC_ARG_VAR([$1_CFLAGS], [compiler flags for $2])
AC_ARG_VAR([$1_LIBS], [linker flags for $2])
AS_IF([test -z "$$1_LIBS"], [$1_LIBS="$3"])
AC_MSG_CHECKING([for $2])
luma_saved_CPPFLAGS=$CPPFLAGS luma_saved_LIBS=$LIBS
CPPFLAGS="$CPPFLAGS $$1_CFLAGS" LIBS="$$1_LIBS -lpthread $LIBS"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <$2>]], [[$4]])], [luma_have_$1=yes], [luma_have_$1=no])
CPPFLAGS=$luma_saved_CPPFLAGS LIBS=$luma_saved_LIBS
AC_MSG_RESULT([$luma_have_$1])
luma_name_$1="$2 (Debian: $5, Fedora: $6)"
])

# LUMA_LLHTTP: distributions carry llhttp as source; it is compiled here, into libllhttp.la.
AC_DEFUN([LUMA_LLHTTP], [
AC_ARG_VAR([LLHTTP_DIR], [folder with llhttp.c, api.c and http.c])
AC_ARG_VAR([LLHTTP_INCLUDE], [folder with llhttp.h])
AC_MSG_CHECKING([for the source of llhttp])
AS_IF([test -z "$LLHTTP_DIR"], [LLHTTP_DIR=/usr/share/llhttp])
AS_IF([test -z "$LLHTTP_INCLUDE"], [
    for luma_dir in /usr/share/include/llhttp /usr/include/llhttp /usr/include "$LLHTTP_DIR"; do
        AS_IF([test -f "$luma_dir/llhttp.h"], [LLHTTP_INCLUDE=$luma_dir; break])
    done])
luma_have_LLHTTP=no
AS_IF([test -f "$LLHTTP_DIR/llhttp.c" && test -f "$LLHTTP_INCLUDE/llhttp.h"], [luma_have_LLHTTP=yes])
AC_MSG_RESULT([$luma_have_LLHTTP])
luma_name_LLHTTP="llhttp source (Debian: node-llhttp, Fedora: llhttp-devel and LLHTTP_DIR=...)"
AC_SUBST([LLHTTP_CFLAGS], ['-isystem $(LLHTTP_INCLUDE)'])
AC_SUBST([LLHTTP_LIBS], ['libllhttp.la'])
])

# LUMA_NEED(WHO, VARS): note what is missing; LUMA_REPORT_MISSING says all of it at once.
AC_DEFUN([LUMA_NEED], [
for luma_var in $2; do
    eval "luma_have=\$luma_have_$luma_var luma_name=\$luma_name_$luma_var"
    AS_IF([test "x$luma_have" != xyes], [luma_missing="$luma_missing
    $luma_name, for $1"])
done])

AC_DEFUN([LUMA_KERNEL_NEEDS], [
LUMA_NEED([the kernel], [$1])
KERNEL_CFLAGS= KERNEL_LIBS=
for luma_var in $1; do
    KERNEL_CFLAGS="$KERNEL_CFLAGS \$(${luma_var}_CFLAGS)"
    KERNEL_LIBS="$KERNEL_LIBS \$(${luma_var}_LIBS)"
done
AC_SUBST([KERNEL_CFLAGS])
AC_SUBST([KERNEL_LIBS])
])

AC_DEFUN([LUMA_SHELL_NEEDS], [
AC_ARG_ENABLE([shell],
    [AS_HELP_STRING([--disable-shell], [leave out `lumadb sql`, import, export and their libraries])],
    [], [enable_shell=yes])
AS_IF([test "x$enable_shell" = xyes], [LUMA_NEED([lumadb sql, import and export (or --disable-shell)], [$1])])
AM_CONDITIONAL([HAVE_SHELL], [test "x$enable_shell" = xyes])
])

AC_DEFUN([LUMA_TESTS_NEED], [
AC_ARG_ENABLE([tests],
    [AS_HELP_STRING([--disable-tests], [leave the unit tests and their library out])],
    [], [enable_tests=yes])
AS_IF([test "x$enable_tests" = xyes], [LUMA_NEED([the unit tests (or --disable-tests)], [$1])])
AM_CONDITIONAL([TESTS_ENABLED], [test "x$enable_tests" = xyes])
])

# LUMA_MODULE_OPTION(KIND, NAME, NEEDS, [CPUS]): --with-KIND-NAME=shared|static|no.
#
# A module whose main file (its own, or the body its kind shares) is not in the tree is left out. Its Makefile.inc finds here
# KIND_NAME_CPPFLAGS, KIND_NAME_LDFLAGS and KIND_NAME_LIBS, complete with those of NEEDS.
# CPUS is a case pattern of host_cpu: elsewhere the module is left out unless asked for.
AC_DEFUN([LUMA_MODULE_OPTION], [
AC_ARG_WITH([$1-$2],
    [AS_HELP_STRING([--with-$1-$2=HOW], [shared, static or no])], [luma_how=$withval], [luma_how=auto])
AS_IF([test ! -f "$srcdir/modules/$1/$2/$2.c" && test ! -f "$srcdir/modules/$1/body.c"],
    [AS_CASE([$luma_how], [auto|no], [luma_how=no],
        [AC_MSG_ERROR([--with-$1-$2=$luma_how: modules/$1/$2/$2.c is not in this tree])])])
m4_ifval([$4], [AS_CASE([$luma_how,$host_cpu], [auto,$4], [luma_how=shared], [auto,*], [luma_how=no])])
AS_CASE([$luma_how], [auto|yes], [luma_how=shared], [shared|static|no], [],
    [AC_MSG_ERROR([--with-$1-$2=$luma_how: want shared, static or no])])
$1_$2_CPPFLAGS='$(MODULE_CPPFLAGS)' $1_$2_LDFLAGS='$(MODULE_SHARED_LINK)' $1_$2_LIBS=
m4_foreach_w([luma_dep], [$3], [
    $1_$2_CPPFLAGS="$$1_$2_CPPFLAGS \$(luma_dep[]_CFLAGS)"
    $1_$2_LIBS="$$1_$2_LIBS \$(luma_dep[]_LIBS)"])
AS_IF([test "$luma_how" != no],
    [LUMA_NEED([--with-$1-$2], [$3])
     LUMA_CONFD="$LUMA_CONFD $1-$2.conf"])
AS_CASE([$luma_how],
    [shared], [LUMA_MODULES_SHARED="$LUMA_MODULES_SHARED $1-$2"
               LUMA_LAS_SHARED="$LUMA_LAS_SHARED $1-$2.la"],
    [static], [LUMA_MODULES_STATIC="$LUMA_MODULES_STATIC $1_$2"
               LUMA_LAS_STATIC="$LUMA_LAS_STATIC $1-$2.la"
               $1_$2_CPPFLAGS="$$1_$2_CPPFLAGS -DLUMA_MODULE_STATIC=$1_$2"
               $1_$2_LDFLAGS='$(MODULE_STATIC_LINK)'],
    [LUMA_MODULES_LEFT_OUT="$LUMA_MODULES_LEFT_OUT $1-$2"])
AC_SUBST([$1_$2_CPPFLAGS])
AC_SUBST([$1_$2_LDFLAGS])
AC_SUBST([$1_$2_LIBS])
# A module that comes into the tree changes its Makefile.inc: look again then.
luma_config_deps="$luma_config_deps \$(srcdir)/modules/$1/$2/Makefile.inc"
])

AC_DEFUN([LUMA_REPORT_MISSING], [
AC_SUBST([LUMA_MODULES_SHARED])
AC_SUBST([LUMA_LAS_SHARED])
AC_SUBST([LUMA_LAS_STATIC])
AC_SUBST([LUMA_CONFD])
AC_SUBST([CONFIG_STATUS_DEPENDENCIES], ["$luma_config_deps"])
AS_IF([test -n "$luma_missing"], [AC_MSG_ERROR([missing:$luma_missing

packaging/install-deps installs everything.])])
])

# LUMA_BUILTIN_MODULES: the table of the modules that are part of the program.
AC_DEFUN([LUMA_BUILTIN_MODULES], [
AC_CONFIG_COMMANDS([kernel/host/builtin_modules.c], [
    {
        echo "/* Generated by configure: the modules linked into the program, NULL at the end. */"
        echo "#include <stddef.h>"
        echo
        echo "struct luma_module;"
        for luma_m in $luma_static; do echo "extern const struct luma_module luma_module_$luma_m;"; done
        echo "extern const struct luma_module *const lk_host_builtin@<:@@:>@;"
        echo
        echo "const struct luma_module *const lk_host_builtin@<:@@:>@ = {"
        for luma_m in $luma_static; do echo "    &luma_module_$luma_m,"; done
        echo "    NULL,"
        echo "};"
    } >kernel/host/builtin_modules.tmp
    AS_IF([cmp -s kernel/host/builtin_modules.tmp kernel/host/builtin_modules.c],
        [rm -f kernel/host/builtin_modules.tmp],
        [mv kernel/host/builtin_modules.tmp kernel/host/builtin_modules.c])
], [luma_static="$LUMA_MODULES_STATIC"])
])

AC_DEFUN([LUMA_SUMMARY], [
AC_MSG_NOTICE([lumadb $PACKAGE_VERSION
    compiler    $CC $CFLAGS (werror: $enable_werror, debug: $enable_debug, sanitizers: $SANITIZERS)
    shared     $LUMA_MODULES_SHARED
    static     $LUMA_MODULES_STATIC
    left out   $LUMA_MODULES_LEFT_OUT])
])
