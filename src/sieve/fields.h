// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which header fields a test looks at: by name, by number among those of a name (index, RFC 5260), of the message or of MIME parts
// (RFC 5703).
#include "mail/message.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

// One field that was found; valid during the call that hands it over.
class FieldValue {
 public:
  FieldValue(const mail::MessageView& view, std::size_t number) : view_(&view), number_(number) {}
  explicit FieldValue(const mail::HeaderField& field) : field_(&field) {}
  // Unfolded and trimmed; the same with encoded words decoded.
  [[nodiscard]] std::string_view value() const;
  [[nodiscard]] std::string_view decoded() const;
  [[nodiscard]] const mail::AddressList& addresses() const;
  // Whether decoded() is the same text at the same place until the message is edited.
  [[nodiscard]] bool is_stable() const { return view_ != nullptr; }

 private:
  const mail::MessageView* view_ = nullptr;
  std::size_t number_ = 0;
  const mail::HeaderField* field_ = nullptr;
  mutable std::string text_, decoded_;
  mutable std::unique_ptr<mail::AddressList> addresses_;
};

// The loop of foreverypart, as tests inside it see it.
class PartLoop : public BlockState {
 public:
  std::shared_ptr<const mail::MessageView> message;   // keeps the parts; null: the original
  std::vector<const mail::Part*> parts;               // in the order of the loop
  std::size_t at = 0;
  PartLoop* outermost = nullptr;                      // itself, if it is
  // Of the outermost: what was put in the place of parts, by where they begin in the message of the loop.
  struct Replaced {
    std::size_t end = 0;
    std::string entity;
  };
  std::map<std::size_t, Replaced> replaced;
  bool gone = false;                                  // the message was replaced or enclosed: there are other parts now
  [[nodiscard]] const mail::Part& part() const { return *parts[at]; }
};
// The part that tests look at: the loop's, else the message itself.
const mail::Part& current_part(Run& run);

class FieldSelector {
 public:
  FieldSelector() = default;
  // Of the test's first positional argument, with the tags :index, :last, :mime and :anychild.
  FieldSelector(Compiler& compiler, const Arguments& arguments, const Argument& names);
  [[nodiscard]] const std::vector<Text>& names() const { return names_; }
  [[nodiscard]] bool of_mime() const { return mime_; }
  // Calls `look` for each field until it returns true; whether it did. `wanted` (may be empty) says of a name that comes from a
  // variable whether it is looked for.
  bool any(Run& run, const std::function<bool(const FieldValue&)>& look, bool (*wanted)(std::string_view) = nullptr) const;
  // The same for the first field of each name only, if :index asks for no other.
  bool first(Run& run, const std::function<bool(const FieldValue&)>& look) const;
  // Whether each name has a field.
  bool all_exist(Run& run) const;
  void carry(Archive& archive);

 private:
  bool any_named(Run& run, std::size_t name, std::string_view text, const std::function<bool(const FieldValue&)>& look) const;
  bool any_in_part(Run& run, const mail::Part& part, std::string_view name, const std::function<bool(const FieldValue&)>& look) const;
  template <class Numbers, class Look>
  bool chosen(const Numbers& numbers, Look look) const;
  std::vector<Text> names_;
  std::vector<std::uint32_t> ids_;      // Program::field_names; of names that are constants
  std::optional<std::uint64_t> index_;
  bool last_ = false, mime_ = false, any_child_ = false;
};

// A name that can't be a field's matches nothing, and is no error (RFC 5228 section 5.7); the author may want to know.
void warn_about_names(Compiler& compiler, const Argument& names, const std::vector<Text>& texts);

}  // namespace postern::sieve
