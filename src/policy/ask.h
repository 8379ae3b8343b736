// SPDX-License-Identifier: Apache-2.0
#pragma once
// One probe against one table, with the answers to what its templates ask of the world outside.
#include "mapping/tables.h"
#include "net/address_list.h"
#include "net/asio.h"

#include <string>

namespace postern::policy {

// Known call-outs: postern:client, which succeeds with an empty text if its argument is an address on `clients`; and
// postern:certificate, which gives `certificate`, the subject of the client's certificate, or with an argument compares it with that
// one (A-Z like a-z) and gives nothing. It fails where there is none. All others fail, and the log says so. `tables` and `clients` must outlive the call. A table that doesn't exist: matched == false.
net::Awaitable<mapping::Mapped> ask_table(const mapping::Tables& tables, std::string table, std::string probe, mapping::Flags flags,
                                          const net::AddressList& clients, std::string certificate = {});

}  // namespace postern::policy
