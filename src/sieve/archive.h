// SPDX-License-Identifier: Apache-2.0
#pragma once
// The bytes of a compiled program (program_code.h): writes what its parts carry, or reads it back. Each part names what it carries once, in
// carry(), and that serves both ways.
//
// Bytes that are read are taken as hostile: lengths and counts are compared with what is left before anything is reserved, choices
// and references with what there is. After the first mistake an archive has failed: it reads only empty values from there on.
#include "sieve/limits.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace postern::sieve {

class Archive {
 public:
  // What the numbers in it may refer to, when it is read.
  struct Shape {
    std::size_t units = 0, global_variables = 0, capabilities = 0, field_names = 0;
  };

  // Writes, behind what is in `to`, which must outlive it.
  explicit Archive(std::string& to) : to_(&to) {}
  // Reads. `limits` hold for regular expressions, which are compiled anew; `regex_bytes` is what they may take together.
  Archive(std::string_view from, const Limits& limits, std::size_t regex_bytes) : from_(from), limits_(&limits), regex_bytes_(regex_bytes) {}

  [[nodiscard]] bool reads() const { return to_ == nullptr; }
  [[nodiscard]] bool failed() const { return failed_; }
  void fail() { failed_ = true; from_ = {}; }
  [[nodiscard]] bool at_end() const { return from_.empty(); }
  // Of an archive that reads.
  [[nodiscard]] const Limits& limits() const { return *limits_; }
  [[nodiscard]] std::size_t& regex_bytes() { return regex_bytes_; }
  void set_shape(const Shape& shape) { shape_ = shape; }

  template <class... Parts>
  void operator()(Parts&... parts) {
    (carry(parts), ...);
  }
  // One of the values of an enumeration from 0 to `last`.
  template <class Enumeration>
  void choice(Enumeration& value, Enumeration last) {
    std::uint64_t number = static_cast<std::uint64_t>(value);
    carry(number);
    if (number > static_cast<std::uint64_t>(last)) fail();
    else value = static_cast<Enumeration>(number);
  }
  // References. Of variables in the script's own numbering, the largest is remembered: what unit they belong to is not known yet.
  void variable(std::uint32_t& number);
  void capability(std::uint32_t& number) { reference(number, shape_.capabilities); }
  void field_name(std::uint32_t& number) { reference(number, shape_.field_names); }
  void unit(std::uint32_t& number);
  void reference(std::uint32_t& number, std::size_t below);
  // How many variables of its own the unit must have for what was read since the last call.
  std::size_t take_variables();
  // The units that were named since the last call.
  std::vector<std::uint32_t> take_units();
  // The number of elements of a list; whatever they are, each takes a byte.
  void count(std::size_t& number);

 private:
  void carry(bool& value);
  void carry(std::uint64_t& value);
  void carry(std::uint32_t& value);
  void carry(int& value);
  void carry(std::string& value);
  template <class Part>
  void carry(std::optional<Part>& value) {
    bool there = value.has_value();
    carry(there);
    if (reads()) {
      value.reset();
      if (there && !failed_) value.emplace();
    }
    if (value) carry(*value);
  }
  void carry(std::chrono::seconds& value);
  template <class Part>
  void carry(std::vector<Part>& parts) {
    std::size_t number = parts.size();
    count(number);
    if (reads()) parts.clear();
    for (std::size_t i = 0; i < number && !failed_; ++i) {
      if (reads()) parts.emplace_back();
      carry(parts[i]);
    }
  }
  template <class Part>
    requires std::is_class_v<Part>
  void carry(Part& part) {
    part.carry(*this);
  }

  std::string* to_ = nullptr;
  std::string_view from_;
  const Limits* limits_ = nullptr;
  std::size_t regex_bytes_ = 0;
  Shape shape_;
  std::size_t variables_ = 0;
  std::vector<std::uint32_t> units_;
  bool failed_ = false;
};

}  // namespace postern::sieve
