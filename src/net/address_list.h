// SPDX-License-Identifier: Apache-2.0
#pragma once
// Lists of addresses as administrators write them (listeners.md section 2): elements, ranges, prefixes, `!`, comments.
// Compiled once into disjoint intervals; a test takes logarithmic time. Copies share the compiled form.
#include "net/address.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::net {

class AddressList {
 public:
  struct Mistake {
    int line = 0;  // in the text, from 1
    std::string element;
    std::string text;
  };
  struct Compiled;
  // Gives the text of another list for `#name`, or nothing if there is none.
  using Resolver = std::function<std::optional<std::string>(std::string_view name)>;

  // The empty list: contains nothing.
  AddressList();
  // Compiles `text`. All mistakes are reported, in which case the list is empty. `allow_names`: whether `#@pattern`
  // lines may stand in it. Limits: 1 MiB, 100,000 lines (0.1), 1,000 name patterns.
  static AddressList compile(std::string_view text, std::vector<Mistake>& mistakes, bool allow_names = false, const Resolver& resolver = {});

  // By addresses alone: name patterns match nobody, so that nobody waits for DNS (L-24).
  [[nodiscard]] bool contains(const Address& address) const;
  // Whether it depends on the names of `address` if it is on the list: a pattern stands below the last line that has it. Who may wait then
  // asks is_on_list() (net/resolver.h).
  [[nodiscard]] bool asks_names(const Address& address) const;
  // With the names of the address: those that lead back to it, in lower case.
  [[nodiscard]] bool contains(const Address& address, const std::vector<std::string>& names) const;
  // The text exactly as given.
  [[nodiscard]] const std::string& text() const;
  // True if no line adds anything.
  [[nodiscard]] bool empty() const;

  // The line that decides about an address: the last one that holds it.
  struct Deciding {
    int line = 0;          // in the text, from 1
    std::string element;   // "10.0.0.0/8", "#office"
    std::string via;       // of `#name`: the line that decides in that list, "line 3, 10.1.0.0/16"; else empty
    bool on_list = false;  // false: it has a "!" in front
  };
  // For those who ask why, by addresses alone; takes as long as the list is. Nothing if no line holds the address.
  [[nodiscard]] std::optional<Deciding> deciding(const Address& address) const;

  // The same text, and the same addresses (lists that it names may have changed).
  friend bool operator==(const AddressList& a, const AddressList& b);

 private:
  std::shared_ptr<const Compiled> compiled_;
};

// Whether a host name fits a pattern in which `*` stands for any number of characters, also none. Case doesn't matter.
bool matches_name(std::string_view pattern, std::string_view name);

}  // namespace postern::net
