// SPDX-License-Identifier: Apache-2.0
#pragma once
// What most files of the project include of the standard library, for the precompiled headers (src/precompiled.mk). Nobody includes
// this header: each file names what it uses, so that it compiles without a precompiled header as well.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
