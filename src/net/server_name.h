// SPDX-License-Identifier: Apache-2.0
#pragma once
// The name that a client asks for (SNI, RFC 6066 section 3), before anything is known of the client: bytes of strangers.
//
// A name that is missing, malformed or unknown is never an error (listeners.md T-4): mail programs send anything.
#include <string>
#include <string_view>

namespace postern::net {

// The host name in the body of a server_name extension, as it stands there; empty if there is none or the body is malformed.
std::string_view server_name_in(std::string_view extension);

// For comparing: lower case, without one trailing dot. Empty if it can't be a host name: too long (253), an empty label, a byte
// that is no printable ASCII.
std::string normal_server_name(std::string_view name);

// True if the wildcard `pattern` ("*.example.net", in normal form) covers `name` (in normal form): exactly one label stands for
// the star, and nothing but a star may stand in its place.
bool wildcard_covers(std::string_view pattern, std::string_view name);

}  // namespace postern::net
