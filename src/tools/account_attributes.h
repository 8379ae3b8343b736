// SPDX-License-Identifier: Apache-2.0
#pragma once
// The attributes of an account as options of posternctl account add and change.
#include "tools/options.h"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <vector>

namespace postern::tools {

class AccountAttributes {
 public:
  // Those that set something, and with `change` also those that take something away.
  std::vector<Option> options(bool change);
  // What was given, as the question says it. Kind::invalid names the option that is wrong.
  Result<boost::json::object> request() const;

 private:
  std::optional<std::string> description_, quota_, quota_messages_, mail_host_;
  std::vector<std::string> forwarding_, services_, tags_;
  bool keep_copy_ = false, no_keep_copy_ = false, hold_ = false, no_hold_ = false, no_forwarding_ = false, all_services_ = false, no_tags_ = false;
};

}  // namespace postern::tools
