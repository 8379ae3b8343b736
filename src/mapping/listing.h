// SPDX-License-Identifier: Apache-2.0
#pragma once
// Back from the compiled form to the language: for whoever shows entries of tables whose source has been edited since.
//
// The text is what the compiler kept: it means the same, but letters of a pattern are small ones, as they match in both cases, and
// the ends of sets and blocks are in their plainest form. Parsed again it gives the same code.
#include "mapping/image.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace postern::mapping {

// Of malformed code: what could be read, then "…".
std::string pattern_text(std::string_view code);
std::string template_text(std::string_view code);

struct ListedEntry {
  std::string_view table, file;
  std::uint32_t line = 0;
  std::string_view pattern, expansion;  // code
  [[nodiscard]] std::string text() const { return pattern_text(pattern) + "  " + template_text(expansion); }
};

// Every entry of every table, in the order of the source.
void list_entries(const Image& image, const std::function<void(const ListedEntry&)>& take);

}  // namespace postern::mapping
