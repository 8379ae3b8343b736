// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include "base/log.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace postern {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::invalid: return "invalid";
    case Kind::not_found: return "not-found";
    case Kind::denied: return "denied";
    case Kind::temporary: return "temporary";
    case Kind::permanent: return "permanent";
    case Kind::corrupt: return "corrupt";
  }
  return "temporary";
}

void throw_exception_from_error(const Error& error, const boost::source_location&) { throw std::runtime_error(error.what); }

Error system_error(int error_number, std::string_view doing) {
  Kind kind = Kind::temporary;
  switch (error_number) {
    case ENOENT: kind = Kind::not_found; break;
    case EACCES:
    case EPERM: kind = Kind::denied; break;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case ENOTDIR: kind = Kind::invalid; break;
    default: break;
  }
  char buffer[128];
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  return {kind, std::string(doing) + ": " + text};
}

void assertion_failed(const char* expression, const char* file, int line) {
  base::log_event(base::Severity::critical, "assertion-failed", {{"expression", expression}, {"file", file}, {"line", line}});
  std::abort();
}

}  // namespace postern
