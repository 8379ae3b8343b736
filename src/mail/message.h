// SPDX-License-Identifier: Apache-2.0
#pragma once
// A message that is looked at, never changed: header fields and their decoded values, addresses and body parts, each worked out at
// the first question and remembered, so that the scripts of many recipients share the work.
//
// The view does not own the text; the text must outlive it. Not for use by two threads at once, although all is const.
#include "mail/address.h"
#include "mail/header.h"
#include "mail/part.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mail {

class MessageView {
 public:
  explicit MessageView(std::string_view text, const HeaderLimits& limits = {}, const PartLimits& part_limits = {});
  ~MessageView();
  MessageView(const MessageView&) = delete;
  MessageView& operator=(const MessageView&) = delete;

  [[nodiscard]] std::string_view text() const { return text_; }
  // Size with every line end counted as CRLF, whatever the text has.
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] const Header& header() const;
  [[nodiscard]] std::string_view body() const;      // behind the empty line; empty if there is none
  [[nodiscard]] bool has_body() const;

  // The numbers, in the order in which they stand, of the fields with this name; case does not matter.
  void find(std::string_view name, std::vector<std::size_t>& numbers) const;
  [[nodiscard]] bool exists(std::string_view name) const;

  // The value of field `number`: unfolded and trimmed; and the same with encoded words decoded. Valid as long as the view.
  [[nodiscard]] std::string_view value(std::size_t number) const;
  [[nodiscard]] std::string_view decoded_value(std::size_t number) const;
  // The addresses of field `number`.
  [[nodiscard]] const AddressList& addresses(std::size_t number) const;

  // The first field of this name, decoded; nothing if there is none.
  [[nodiscard]] std::optional<std::string_view> first(std::string_view name) const;

  // The MIME structure (mail/part.h), found at the first call.
  [[nodiscard]] const Part& structure() const;
  [[nodiscard]] const PartLimits& part_limits() const { return part_limits_; }

 private:
  struct Index;
  std::string_view text_;
  HeaderLimits limits_;
  PartLimits part_limits_;
  std::unique_ptr<Index> index_;
  Index& index() const;
};

}  // namespace postern::mail
