// SPDX-License-Identifier: Apache-2.0
#pragma once
// What many files of the project include of the standard library, of the system and of Boost, and the headers of base/ that most
// files include and that seldom change: for the precompiled headers (src/precompiled.mk). Nobody includes this header: each file names
// what it uses, so that it compiles without a precompiled header as well. Left out: <iostream>, whose static object would be in every
// file, and <filesystem>, whose std::quoted() would be found in the place of others.
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/files.h"
#include "base/log.h"
#include "base/result.h"
#include "base/text.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
