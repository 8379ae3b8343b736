// SPDX-License-Identifier: Apache-2.0
#pragma once
// Tells the service manager how the master is doing, by the socket that $NOTIFY_SOCKET names (sd_notify(3) describes the text).
// Without that variable, or if the manager does not listen, nothing happens.
#include <string_view>

namespace postern::master {

void notify_manager(std::string_view text);
// "RELOADING=1" with the time that Type=notify-reload wants.
void notify_reloading();

}  // namespace postern::master
