// SPDX-License-Identifier: Apache-2.0
#pragma once
// The text of a configuration before libconfig sees it: included files put in, with a way back from each line, and from each
// line inside a long string, to the file and line that the administrator wrote.
//
// Includes are done here and not by libconfig, because libconfig 1.5 takes relative names from the current directory, names
// the wrong line after a string that ends a list, and stops for all files at the first mistake in any of them. It also cuts
// integers to 32 bits without a word; so numbers that need more get the suffix "L" here. And a setting that stands twice in its group is an error
// of syntax to it, behind which it reads no further; so the later ones get names of their own here, and what is wrong with them is told with the rest.
#include "conf/configuration.h"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace postern::conf {

class Source {
 public:
  // Reads `path` and what it includes. Files named in `without` are left out (their text was no good). Mistakes of reading,
  // and those that would keep libconfig from finding the end of a string or comment, are in mistakes().
  static Source from_file(const std::string& path, const std::set<std::string>& without = {});
  // The same from text that stands for the file `name`; it can't include anything. If it is flattened text, its marks are used.
  static Source from_text(std::string_view text, const std::string& name);

  // For libconfig.
  [[nodiscard]] const std::string& text() const { return text_; }
  // Where line `number` (from 1) of text() comes from; a number behind the end gives the last line.
  [[nodiscard]] Place place(unsigned number) const;
  // The line itself, for messages.
  [[nodiscard]] std::string_view line_text(unsigned number) const;
  // Where the line `line` (from 0) of the content of the string value `index` (from 0, in the order of the text) comes from.
  // Adjacent strings are one value, as libconfig has it.
  [[nodiscard]] Place string_place(std::size_t index, std::size_t line) const;
  [[nodiscard]] std::size_t strings() const { return strings_.size(); }

  struct Included {
    std::string file;
    bool in_list = false;  // stands inside ( ) or [ ]: its text alone is no configuration
  };
  [[nodiscard]] const std::vector<Included>& included() const { return included_; }
  [[nodiscard]] const std::vector<Mistake>& mistakes() const { return mistakes_; }

  struct Repeated {
    Place place, first;
    std::string setting;
  };
  // Settings that stand in their group already, in the order of the text.
  [[nodiscard]] const std::vector<Repeated>& repeated() const { return repeated_; }
  // What the administrator called the setting `name` of text(). The view is good as long as `name` and this are.
  [[nodiscard]] std::string_view given_name(std::string_view name) const;
  // The file that was asked for.
  [[nodiscard]] const std::string& name() const { return files_.front(); }

  // Defaults that depend on machine and place: from the flattened text, else those of this machine.
  [[nodiscard]] const std::string& default_host_name() const { return default_host_name_; }
  [[nodiscard]] const std::string& default_directory() const { return default_directory_; }

  // Made by flattened(), by a process of ours.
  [[nodiscard]] bool is_flattened() const { return is_flattened_; }
  // What from_text() reads again.
  [[nodiscard]] std::string flattened() const;

 private:
  struct Spot {
    std::uint32_t file = 0;
    std::uint32_t line = 0;
  };
  class Scanner;

  std::string text_;
  std::vector<Spot> lines_;
  std::vector<std::size_t> line_starts_;
  std::vector<std::vector<Spot>> strings_;
  std::vector<std::string> files_;
  std::vector<Included> included_;
  std::vector<Mistake> mistakes_;
  std::vector<Repeated> repeated_;
  std::map<std::string, std::string, std::less<>> renamed_;  // names in text_ that nobody gave, and those that were given
  std::string default_host_name_;
  std::string default_directory_;
  bool is_flattened_ = false;
};

}  // namespace postern::conf
