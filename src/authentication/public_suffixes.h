// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which part of a domain name was registered by one organisation ("example.co.uk" of "mail.example.co.uk"): the public suffix list, by
// libpsl. The list is that of the system's package `publicsuffix`, or the one that the library was built with if that is newer.
//
// Failure: without any list, an organisation's domain is taken to be the last two labels. Thread-safe once made.
#include <memory>
#include <string>
#include <string_view>

namespace postern::authentication {

class PublicSuffixes {
 public:
  PublicSuffixes();
  ~PublicSuffixes();
  PublicSuffixes(const PublicSuffixes&) = delete;
  PublicSuffixes& operator=(const PublicSuffixes&) = delete;

  // The organisational domain (RFC 7489 section 3.2) of a canonical name; the name itself if it is a public suffix.
  [[nodiscard]] std::string organisation_of(const std::string& domain) const;
  [[nodiscard]] bool has_list() const;

 private:
  struct List;
  std::unique_ptr<List> list_;
};

}  // namespace postern::authentication
