// SPDX-License-Identifier: Apache-2.0
#include "net/frames.h"

#include "base/text.h"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serializer.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <new>
#include <string.h>

namespace postern::net {
namespace {

using boost::json::object;

Result<sockaddr_un> unix_address(int directory, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  if (path.size() >= sizeof address.sun_path) return Error{Kind::invalid, "socket name is too long: " + name};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// Passwords travel as members of objects.
class WipingMemory final : public boost::json::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return ::operator new(bytes, std::align_val_t(alignment)); }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    ::explicit_bzero(memory, bytes);
    ::operator delete(memory, std::align_val_t(alignment));
  }
  [[nodiscard]] bool do_is_equal(const boost::json::memory_resource& other) const noexcept override { return this == &other; }
};

constexpr Kind kKinds[] = {Kind::invalid, Kind::not_found, Kind::denied, Kind::temporary, Kind::permanent, Kind::corrupt};

}  // namespace

boost::json::storage_ptr wiping_storage() {
  static WipingMemory memory;
  return &memory;
}

// Piece by piece through a buffer of ours: the library's own stays on the stack as it is.
std::string frame(const boost::json::object& message) {
  boost::json::serializer writer;
  writer.reset(&message);
  std::array<char, 4096> piece;
  std::string out(4, '\0');
  while (!writer.done()) {
    const auto part = writer.read(piece.data(), piece.size());
    // What grows is copied, and would be left behind.
    if (out.capacity() < out.size() + part.size()) {
      std::string larger;
      larger.reserve(std::max(2 * out.size(), out.size() + part.size()));
      larger.append(out);
      ::explicit_bzero(out.data(), out.size());
      out = std::move(larger);
    }
    out.append(part.data(), part.size());
  }
  ::explicit_bzero(piece.data(), piece.size());
  const std::size_t size = out.size() - 4;
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<char>(size >> (24 - 8 * i));
  return out;
}

Result<boost::json::object> FrameReader::next() {
  if (buffer_.size() < 4) return Error{Kind::not_found, "frame is not complete"};
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(buffer_[i]);
  if (size > limit_) return Error{Kind::invalid, "frame is too long"};
  if (buffer_.size() < 4 + size) return Error{Kind::not_found, "frame is not complete"};
  boost::system::error_code error;
  boost::json::value value = boost::json::parse(std::string_view(buffer_).substr(4, size), error, wiping_storage());
  std::string rest(buffer_, 4 + size);
  ::explicit_bzero(buffer_.data(), buffer_.size());
  buffer_ = std::move(rest);
  if (error || !value.is_object()) return Error{Kind::invalid, "frame is not a JSON object"};
  return std::move(value.as_object());
}

Awaitable<Result<boost::json::object>> read_frame(asio::local::stream_protocol::socket& socket, FrameReader& reader) {
  std::array<char, 8192> piece;
  for (;;) {
    auto message = reader.next();
    if (message || message.error().kind != Kind::not_found) co_return message;
    boost::system::error_code error;
    const std::size_t got = co_await socket.async_read_some(asio::buffer(piece), asio::redirect_error(net::use_awaitable, error));
    if (error) co_return Error{Kind::permanent, "read frame: " + error.message()};
    reader.feed(std::string_view(piece.data(), got));
    ::explicit_bzero(piece.data(), got);
  }
}

Awaitable<Result<void>> write_frame(asio::local::stream_protocol::socket& socket, boost::json::object message) {
  const std::string bytes = frame(message);
  boost::system::error_code error;
  co_await asio::async_write(socket, asio::buffer(bytes), asio::redirect_error(net::use_awaitable, error));
  if (error) co_return Error{Kind::permanent, "write frame: " + error.message()};
  co_return Result<void>();
}

Result<boost::json::object> ask(int directory, const std::string& name, const boost::json::object& request, std::chrono::seconds limit) {
  auto socket = connect_unix(directory, name);
  if (!socket) return socket.error();
  const timeval patience{limit.count(), 0};
  ::setsockopt(socket->get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket->get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const std::string bytes = frame(request);
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t sent = ::send(socket->get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Error{Kind::temporary, system_error(errno, "ask " + name).what};
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  FrameReader reader;
  std::array<char, 8192> piece;
  for (;;) {
    auto answer = reader.next();
    if (answer || answer.error().kind != Kind::not_found) return answer;
    const ssize_t got = ::recv(socket->get(), piece.data(), piece.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{Kind::temporary, system_error(errno, "answer from " + name).what};
    if (got == 0) return Error{Kind::temporary, "answer from " + name + ": connection was closed"};
    reader.feed(std::string_view(piece.data(), static_cast<std::size_t>(got)));
  }
}

Result<base::Descriptor> connect_unix(int directory, const std::string& name) {
  auto address = unix_address(directory, name);
  if (!address) return address.error();
  base::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return system_error(errno, "socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    const int saved = errno;
    const Error error = system_error(saved, "connect to " + name);
    return Error{saved == EACCES || saved == EPERM ? Kind::denied : Kind::temporary, error.what};
  }
  return socket;
}

Result<base::Descriptor> listen_unix(int directory, const std::string& name, mode_t mode) {
  auto address = unix_address(directory, name);
  if (!address) return address.error();
  ::unlinkat(directory, name.c_str(), 0);
  base::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error(errno, "socket");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return system_error(errno, "bind " + name);
  if (::fchmodat(directory, name.c_str(), mode, 0) != 0) return system_error(errno, "permissions of " + name);
  if (::listen(socket.get(), 1024) != 0) return system_error(errno, "listen on " + name);
  return socket;
}

object error_answer(const Error& error) {
  object inner;
  inner["kind"] = to_string(error.kind);
  inner["text"] = base::is_utf8(error.what) ? error.what : std::string("the reason is not UTF-8 text");
  object out;
  out["error"] = std::move(inner);
  return out;
}

std::optional<Error> error_in(const object& answer) {
  const auto* found = answer.if_contains("error");
  if (found == nullptr) return std::nullopt;
  Error error{Kind::temporary, "an error without a text"};
  if (!found->is_object()) return error;
  const object& inner = found->get_object();
  error.what = text_in(inner, "text").value_or(error.what);
  const std::string kind = text_in(inner, "kind").value_or("");
  for (const Kind known : kKinds)
    if (kind == to_string(known)) error.kind = known;
  return error;
}

std::optional<std::string> text_in(const object& from, std::string_view name) {
  const auto* found = from.if_contains(name);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  const boost::json::string& text = found->get_string();
  // Made in its place, so that no copy of a secret stays behind.
  return std::optional<std::string>(std::in_place, text.data(), text.size());
}

std::optional<std::uint64_t> number_in(const object& from, std::string_view name) {
  const auto* found = from.if_contains(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_uint64()) return found->get_uint64();
  if (found->is_int64() && found->get_int64() >= 0) return static_cast<std::uint64_t>(found->get_int64());
  return std::nullopt;
}

std::optional<bool> truth_in(const object& from, std::string_view name) {
  const auto* found = from.if_contains(name);
  if (found == nullptr || !found->is_bool()) return std::nullopt;
  return found->get_bool();
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  // Never in the string's own room: it may be a password, and moving it on shall leave nothing behind.
  bytes.reserve(std::max<std::size_t>(32, text.size() / 2));
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc{} || end != text.data() + i + 2) return std::nullopt;
    bytes += static_cast<char>(value);
  }
  return bytes;
}

}  // namespace postern::net
