// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the commands of posternctl queue share: the spool, opened as its owner, and how messages are shown.
#include "mail/envelope.h"
#include "tools/posternctl.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

// The spool's owner is who touches its files: nothing that another user put there is followed with root's rights, and no file in it
// becomes root's. Kind::denied for anybody else.
Result<base::Descriptor> open_spool_as_owner(const Context& context);

// Text for a terminal or for JSON: whatever a damaged envelope holds, it is no control sequence and it is UTF-8.
std::string queue_text(std::string_view text);
// The first recipient, and how many more there are.
std::string recipients_of(const mail::Envelope& envelope);
// "a@example.com", "@example.com" for all of a domain, "<>" or "" for none.
bool address_fits(std::string_view wanted, std::string_view address);
// "30min", "4h", "2d"; nothing for what is no time.
std::optional<std::chrono::seconds> time_from(std::string_view text);
// "40 s", "3 d".
std::string short_time(std::chrono::seconds time);
// "name        value".
void print_line(const char* what, const std::string& value);
// `text` as it is, for whoever reads on. The exit status.
int print_text(std::string_view text);

// What went wrong with some of several messages: said on standard error at once. With --json there is one answer all the same, and it may
// have them too.
class Troubles {
 public:
  void add(std::string_view text);
  [[nodiscard]] bool any() const { return !texts_.empty(); }
  // As errors, if there are any.
  void add_to(boost::json::object& answer) const;

 private:
  boost::json::array texts_;
};

// posternctl queue list, show, flush, hold, release, retry, bounce, remove, stats (ctl_queue_messages.cc); nothing: none of these.
bool is_message_command(const std::string& word);
int run_queue_messages(const Context& context, const std::vector<std::string>& arguments);

}  // namespace postern::tools
