// SPDX-License-Identifier: Apache-2.0
#pragma once
// Reads a PROXY header from a connection, and not one byte more: what follows, of the protocol or of TLS, stays in the socket.
#include "net/proxy_header.h"
#include "net/stream.h"

namespace postern::net {

// Within the stream's time limit. Error: Kind::invalid if what came is no header, or its end came first; Kind::temporary when the
// time is over or the stream was aborted; Kind::permanent if the connection is lost.
Awaitable<Result<ProxyHeader>> read_proxy_header(SocketStream& stream);

}  // namespace postern::net
