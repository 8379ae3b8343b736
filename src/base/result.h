// SPDX-License-Identifier: Apache-2.0
#pragma once
// The outcome of whatever the world can spoil: a value, or an Error that says whether trying again can help.
//
// Three kinds of errors, three ways (doc/design/architecture.md): the peer's mistakes are ordinary answers of its protocol; the
// world's (disk full, table missing) are a Result; ours (an impossible state) end the process through POSTERN_ASSERT.
#include <boost/system/result.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace postern {

enum class Kind {
  invalid,    // what was given is malformed; the same input will fail again
  not_found,  // it does not exist
  denied,     // permission or policy
  temporary,  // trying again later can help; what is unknown counts as temporary
  permanent,  // trying again can't help
  corrupt,    // bytes that we wrote ourselves don't read back
};

// The word for `kind` in logs ("temporary").
std::string_view to_string(Kind kind);

struct Error {
  Kind kind = Kind::temporary;
  std::string what;  // "open spool/3/17: No space left on device"

  // The same error with the action it spoiled in front; the kind is kept.
  [[nodiscard]] Error in(std::string_view doing) const { return {kind, std::string(doing) + ": " + what}; }
};

template <class T>
using Result = boost::system::result<T, Error>;

// Required by boost::system::result when value() is called on an error: throws std::runtime_error with the error's text.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& location);

// An Error for a failed system call: kind from the errno value (ENOENT not_found; EACCES, EPERM denied; EINVAL, ENAMETOOLONG,
// ELOOP, ENOTDIR invalid; all others temporary), text "doing: strerror".
[[nodiscard]] Error system_error(int error_number, std::string_view doing);

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

// Ends the process when `expression` is false: for states that only a defect of ours can produce.
#define POSTERN_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::postern::assertion_failed(#expression, __FILE__, __LINE__))

}  // namespace postern
