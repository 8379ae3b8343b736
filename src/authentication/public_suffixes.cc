// SPDX-License-Identifier: Apache-2.0
#include "authentication/public_suffixes.h"

#include <libpsl.h>

namespace postern::authentication {

struct PublicSuffixes::List {
  psl_ctx_t* loaded = nullptr;         // ours to free; null: `used` is the library's own
  const psl_ctx_t* used = nullptr;
  ~List() {
    if (loaded != nullptr) psl_free(loaded);
  }
};

PublicSuffixes::PublicSuffixes() : list_(std::make_unique<List>()) {
  list_->loaded = psl_latest(nullptr);
  list_->used = list_->loaded != nullptr ? list_->loaded : psl_builtin();
}

PublicSuffixes::~PublicSuffixes() = default;

bool PublicSuffixes::has_list() const { return list_->used != nullptr; }

std::string PublicSuffixes::organisation_of(const std::string& domain) const {
  if (has_list()) {
    const char* const registered = psl_registrable_domain(list_->used, domain.c_str());
    return registered != nullptr ? registered : domain;
  }
  const auto last = domain.rfind('.');
  const auto before = last == std::string::npos || last == 0 ? std::string::npos : domain.rfind('.', last - 1);
  return before == std::string::npos ? domain : domain.substr(before + 1);
}

}  // namespace postern::authentication
