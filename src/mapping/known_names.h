// SPDX-License-Identifier: Apache-2.0
#pragma once
// Names that mean something to whoever asks the tables: channels that are there without a word in postern.conf, and call-outs. Their meaning is
// given in the layers above (policy/channels.h, policy/questions.h, roles/outside.h), whose tests compare these lists with what is there; the
// checks of entries know them from here.
#include <array>
#include <cstddef>
#include <string_view>

namespace postern::mapping {

// access-control.md 3.1.
inline constexpr std::array<std::string_view, 14> kShippedChannels = {"tcp_local", "tcp_internal", "tcp_auth", "tcp_submit", "tcp_lmtp",       "l",         "ims-ms",
                                                                      "conversion", "hold",        "process",  "reprocess",  "bitbucket", "filter_discard", "defragment"};

// $[postern:NAME,…] (mappings(5), CALL-OUTS), and how many arguments it wants at least.
struct CallOut {
  std::string_view name;
  std::size_t least;
  std::string_view arguments;
};
inline constexpr std::array<CallOut, 7> kCallOuts = {{{"client", 1, "address"}, {"certificate", 0, ""}, {"throttle", 2, "table,key"}, {"throttle_p", 2, "table,key"},
                                                      {"dns_verify", 1, "name"}, {"dnsbl", 2, "address,list"}, {"spf", 0, ""}}};

}  // namespace postern::mapping
