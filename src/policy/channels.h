// SPDX-License-Identifier: Apache-2.0
#pragma once
// Channels: named directions of traffic, and what an administrator may say about them (access-control.md 3.1, 3.2).
//
// Setting `channels` of postern.conf, one line a channel: its name, then keywords. A line takes the place of the shipped
// definition of that name; the others stay. A line `defaults KEYWORD…` holds for every channel that says nothing else itself,
// wherever the line stands. Lines that begin with `!` are comments.
#include "conf/configuration.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace postern::policy {

struct Channel {
  enum class Switching { allowed, switches, never };
  enum class Authentication { none, offered, demanded };
  std::string name;
  Switching switching = Switching::allowed;
  Authentication authentication = Authentication::none;
  std::string tls_switch;             // channel after STARTTLS; empty: unchanged
  std::string authentication_switch;  // channel after AUTH; empty: unchanged
  // Sieve scripts for mail that comes in by this channel, and that goes to it (6.1): as named, conf::filter_path() has the path.
  std::string source_filter, destination_filter;
  bool alias_local = false;           // aliases are expanded for its recipients (always for `l`)
  bool rewrites_sender = false;       // authrewrite: flag $K may set the Sender field of what comes in here (2.6)
  bool verifies_sender_domain = false;  // mailfromdnsverify (8.2)
  bool defragments = false;           // pieces of messages that go to it are put together first
  unsigned notice_days = 7;           // notices: so long filter_discard keeps what filters discard (6.6)
};

class Channels {
 public:
  // The shipped channels.
  Channels();
  // The shipped channels with `lines` over them. Mistakes are added to `mistakes`; what could be read is kept.
  static Channels parse(const std::vector<conf::TextLine>& lines, std::vector<conf::Mistake>& mistakes);

  // All channels by name.
  [[nodiscard]] const std::map<std::string, Channel, std::less<>>& all() const { return channels_; }
  // By name, `tcp_intranet` being another name of `tcp_internal`; null if there is none.
  [[nodiscard]] const Channel* find(std::string_view name) const;
  // Up to 32 of a-z, 0-9, '_', '$', '-' (the hyphen for ims-ms).
  [[nodiscard]] static bool is_name(std::string_view name);

 private:
  std::map<std::string, Channel, std::less<>> channels_;
};

// Whether mail for this channel is processed behind the reply, when its address is looked up again (3.1): process, reprocess, defragment.
bool is_deferred(std::string_view channel);
// Of those, process: the tables see it.
bool is_visible(std::string_view channel);

// Whether the relay children serve this channel: its name begins with "tcp_". (tcp_lmtp too: as a destination it is another store.)
bool is_sent_on(std::string_view channel);

// The channel that the listener gives to a session at its start (3.2, step 1): the row's own, else by module and port.
std::string initial_channel(conf::Module module, const conf::SocketRow& row);

}  // namespace postern::policy
