// SPDX-License-Identifier: Apache-2.0
#pragma once
// URLs in templates: $]url[ (access-control.md 1.5.3; mappings(5)).
//
// data:  the text in the URL itself (RFC 2397), percent signs and base64 decoded; the media type is ignored.
// file:  the first line of a file, without its end (RFC 8089; no host, or localhost). Read as the process may; the file must be a plain
//        one, its path without "..", because templates may put text from the network into it. At most kUrlFileBytes of a line.
#include "base/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace postern::policy {

inline constexpr std::size_t kUrlFileBytes = 64 * 1024;

// "data" of "DATA:,x"; empty if there is none.
std::string url_scheme(std::string_view url);
// Kind::invalid with the reason.
Result<std::string> text_of_data_url(std::string_view url);
// The path of a file: URL.
Result<std::string> path_of_file_url(std::string_view url);
// The first line; blocks. Kind::not_found if there is no such file or it is empty.
Result<std::string> first_line_of(const std::string& path);

}  // namespace postern::policy
