// SPDX-License-Identifier: Apache-2.0
#include "policy/urls.h"

#include "base/descriptor.h"
#include "base/percent.h"
#include "base/text.h"
#include "mail/charset.h"
#include "policy/sequences.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace postern::policy {
namespace {

Error wrong(const char* expected) { return {Kind::invalid, std::string("expected ") + expected}; }

}  // namespace

std::string url_scheme(std::string_view url) {
  const auto colon = url.find(':');
  if (colon == std::string_view::npos) return {};
  return base::lower(url.substr(0, colon));
}

Result<std::string> text_of_data_url(std::string_view url) {
  constexpr const char* kForm = "data:[type][;base64],text";
  const auto colon = url.find(':'), comma = url.find(',');
  if (comma == std::string_view::npos || comma < colon) return wrong(kForm);
  const std::string type = base::lower(url.substr(colon + 1, comma - colon - 1));
  auto text = base::percent_decoded(url.substr(comma + 1));
  if (!text) return wrong("two hexadecimal digits behind each percent sign");
  if (!type.ends_with(";base64")) return std::move(*text);
  return mail::decode_base64(*text, kUrlFileBytes);
}

Result<std::string> path_of_file_url(std::string_view url) {
  std::string_view rest = url.substr(url.find(':') + 1);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const auto slash = std::min(rest.find('/'), rest.size());
    const std::string_view host = rest.substr(0, slash);
    if (!host.empty() && !base::equal_ignoring_case(host, "localhost")) return wrong("no host, or localhost");
    rest.remove_prefix(slash);
  }
  auto path = base::percent_decoded(rest);
  if (!path || !is_plain_path(*path)) return wrong("an absolute path without \"..\"");
  return std::move(*path);
}

Result<std::string> first_line_of(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return system_error(errno, "open");
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return system_error(errno, "fstat");
  if (!S_ISREG(status.st_mode)) return Error{Kind::invalid, "not a plain file"};
  std::string text(kUrlFileBytes + 1, '\0');
  std::size_t filled = 0;
  while (filled < text.size() && text.find('\n') >= filled) {
    const ssize_t got = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read");
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled == 0) return Error{Kind::not_found, "the file is empty"};
  text.resize(filled);
  const auto end = text.find('\n');
  if (end == std::string::npos && filled > kUrlFileBytes) return Error{Kind::permanent, "its first line is longer than " + std::to_string(kUrlFileBytes) + " bytes"};
  text.resize(std::min(end, filled));
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace postern::policy
