// SPDX-License-Identifier: Apache-2.0
#pragma once
// Named points at which a test may kill the process (hardening.md 4, point 1). Nothing is compiled in unless configure was
// run with --enable-kill-points.
//
// The environment variable POSTERN_KILL_POINT holds "NAME" or "NAME:N" (the N-th time that the point is passed, from 1); the
// process then sends itself SIGKILL. With "NAME:N:stop" it is SIGSTOP, so that the test can end another process while this one
// stands there. Names: doc/design/fault-plan.md.
#include "config.h"

namespace postern::base {

void kill_point(const char* name);

}  // namespace postern::base

#ifdef POSTERN_KILL_POINTS
#define POSTERN_KILL_POINT(name) ::postern::base::kill_point(name)
#else
#define POSTERN_KILL_POINT(name) static_cast<void>(0)
#endif
