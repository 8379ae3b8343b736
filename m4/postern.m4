# SPDX-License-Identifier: Apache-2.0

# POSTERN_PROG_CXX
# Sets CXX to the first of $CXX, g++, clang++ that gets build-aux/coroutine_check.cc right (doc/design/architecture.md, Coroutines).
AC_DEFUN([POSTERN_PROG_CXX], [
  AC_MSG_CHECKING([for a C++20 compiler that gets coroutines right])
  postern_cxx=
  postern_tried=
  for postern_candidate in ${CXX:+"$CXX"} g++ clang++; do
    postern_tried="$postern_tried $postern_candidate"
    if $postern_candidate -std=c++20 -O2 -o conftest.coroutines "$srcdir/build-aux/coroutine_check.cc" >conftest.coroutines.log 2>&1 \
       && "$SHELL" -c './conftest.coroutines || exit' >>conftest.coroutines.log 2>&1; then  # that shell, not ours, tells of a signal
      postern_cxx=$postern_candidate
      break
    fi
    cat conftest.coroutines.log >&AS_MESSAGE_LOG_FD
  done
  rm -f conftest.coroutines conftest.coroutines.log
  AS_IF([test -n "$postern_cxx"],
    [AC_MSG_RESULT([$postern_cxx]); CXX=$postern_cxx],
    [AC_MSG_RESULT([none])
     AC_MSG_ERROR([none of$postern_tried compiled build-aux/coroutine_check.cc rightly. On Debian 12: apt-get install clang libboost1.81-dev])])
])

# AX_POSTERN_FLAG(FLAG, VARIABLE): appends FLAG to VARIABLE if the compiler takes it.
AC_DEFUN([AX_POSTERN_FLAG], [
  AC_MSG_CHECKING([whether $CXX takes $1])
  postern_save=$CXXFLAGS
  CXXFLAGS="$CXXFLAGS -Werror $1"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
    [AC_MSG_RESULT([yes]); $2="$$2 $1"], [AC_MSG_RESULT([no])])
  CXXFLAGS=$postern_save
])

# POSTERN_LINK_FLAG(FLAG, VARIABLE): appends FLAG to VARIABLE if a program can be linked with it.
AC_DEFUN([POSTERN_LINK_FLAG], [
  AC_MSG_CHECKING([whether $CXX links with $1])
  postern_save=$LDFLAGS
  LDFLAGS="$1 $LDFLAGS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM()],
    [AC_MSG_RESULT([yes]); $2="$$2 $1"], [AC_MSG_RESULT([no])])
  LDFLAGS=$postern_save
])

# POSTERN_PKG(VARIABLE, MODULE, DEBIAN-PACKAGE): pkg-config check; a missing one is collected, not fatal yet.
AC_DEFUN([POSTERN_PKG], [
  PKG_CHECK_MODULES([$1], [$2], [], [missing_packages="$missing_packages $3"])
])

# POSTERN_HEADER(HEADER, DEBIAN-PACKAGE): header check; a missing one is collected, not fatal yet.
AC_DEFUN([POSTERN_HEADER], [
  AC_MSG_CHECKING([for $1])
  AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <$1>]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no]); missing_packages="$missing_packages $2"])
])
