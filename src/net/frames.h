// SPDX-License-Identifier: Apache-2.0
#pragma once
// Framed messages between our own processes over Unix stream sockets: four bytes length (big endian), then a JSON object.
// Nobody trusts a frame more than a byte from the network: a bad one ends that peer's connection and nothing else.
#include "net/asio.h"

#include "base/descriptor.h"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace postern::net {

// Longest frame; a Sieve script of 1 MiB with its escapes fits.
inline constexpr std::size_t kMaxFrameBytes = 8 * 1024 * 1024;

// Memory for objects that carry passwords: wiped when it is given back.
boost::json::storage_ptr wiping_storage();

// The bytes of one frame.
std::string frame(const boost::json::object& message);

// Cuts a byte stream into frames.
class FrameReader {
 public:
  // `limit_bytes`: the longest frame that is taken.
  explicit FrameReader(std::size_t limit_bytes = kMaxFrameBytes) : limit_(limit_bytes) {}
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole message; Kind::not_found if more bytes are needed; Kind::invalid if the peer must go.
  Result<boost::json::object> next();

 private:
  std::size_t limit_;
  std::string buffer_;
};

// Reads the next frame of a connection / writes one. Kind::permanent when the peer has closed.
Awaitable<Result<boost::json::object>> read_frame(asio::local::stream_protocol::socket& socket, FrameReader& reader);
Awaitable<Result<void>> write_frame(asio::local::stream_protocol::socket& socket, boost::json::object message);

// For tools, blocking: connects to the Unix socket `name` below `directory`, sends `request`, returns the answer.
// Kind::temporary after `limit` or if nobody listens.
Result<boost::json::object> ask(int directory, const std::string& name, const boost::json::object& request, std::chrono::seconds limit);

// A connected, close-on-exec Unix stream socket to `name` below `directory`, reached through the descriptor, so that neither
// closed parent directories nor the length of the path matter.
Result<base::Descriptor> connect_unix(int directory, const std::string& name);
// A listening one; an old socket file is replaced. `mode` are the file's permissions.
Result<base::Descriptor> listen_unix(int directory, const std::string& name, mode_t mode);

// An answer that says what went wrong: {"error":{"kind":"temporary","text":"…"}}.
boost::json::object error_answer(const Error& error);
// The error that an answer carries; nothing if it carries none.
std::optional<Error> error_in(const boost::json::object& answer);

// Members of an object, each with its type checked: nothing if it is missing or of another type.
std::optional<std::string> text_in(const boost::json::object& object, std::string_view name);
std::optional<std::uint64_t> number_in(const boost::json::object& object, std::string_view name);
std::optional<bool> truth_in(const boost::json::object& object, std::string_view name);

// Bytes that need not be UTF-8, as JSON must be.
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);

}  // namespace postern::net
