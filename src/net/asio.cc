// SPDX-License-Identifier: Apache-2.0
// Boost.Asio's own code, compiled once for all.
#include "net/asio.h"

#include <boost/asio/impl/src.hpp>
