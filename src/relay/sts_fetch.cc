// SPDX-License-Identifier: Apache-2.0
#include "relay/sts_fetch.h"

#include "base/text.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>
#include <sstream>

namespace postern::relay {
namespace {

namespace http = boost::beast::http;
using std::chrono::steady_clock;

constexpr const char* kFetchError = "sts-policy-fetch-error";
constexpr const char* kInvalid = "sts-policy-invalid";
constexpr const char* kBadCertificate = "sts-webpki-invalid";
constexpr std::uint32_t kHeaderBytes = 8 * 1024;
constexpr std::size_t kAddressesTried = 4;
constexpr std::chrono::milliseconds kConnectTime{10000};

StsFetched failed(const char* trouble, std::string reason) { return {std::nullopt, trouble, base::printable(reason, 400)}; }

std::string request_for(const std::string& host) {
  http::request<http::empty_body> request(http::verb::get, "/.well-known/mta-sts.txt", 11);
  request.set(http::field::host, host);
  request.set(http::field::user_agent, "Postern");
  request.set(http::field::accept, "text/plain");
  request.keep_alive(false);
  std::ostringstream text;
  text << request;
  return text.str();
}

// Section 3.2: not whatever else a web server lets its users put there.
bool is_plain_text(std::string_view type) {
  return base::equal_ignoring_case(base::trim(type.substr(0, type.find(';'))), "text/plain");
}

}  // namespace

net::Awaitable<StsFetched> fetch_sts_policy(net::Stream& stream, std::string host) {
  const std::string request = request_for(host);
  const auto written = co_await stream.write(request);
  if (!written) co_return failed(kFetchError, host + ": " + written.error().what);
  http::response_parser<http::string_body> parser;
  parser.eager(true);
  parser.header_limit(kHeaderBytes);
  parser.body_limit(kStsPolicyBytes);
  net::Input input(stream);
  std::string waiting;  // what the parser wants to see again together with more
  while (!parser.is_done()) {
    const auto some = co_await input.read_some();
    if (!some) co_return failed(kFetchError, host + ": " + some.error().what);
    boost::system::error_code error;
    if (some->empty()) {
      if (parser.got_some()) parser.put_eof(error);
      if (error || !parser.is_done()) co_return failed(kFetchError, host + " ended the connection early");
      break;
    }
    waiting += *some;
    input.consume(some->size());
    const std::size_t taken = parser.put(net::asio::buffer(waiting), error);
    waiting.erase(0, taken);
    if (error && error != http::error::need_more) co_return failed(kFetchError, host + ": " + error.message());
    // Header and body have their limits in the parser; so has what it has not taken yet.
    if (waiting.size() > kHeaderBytes + kStsPolicyBytes) co_return failed(kFetchError, host + ": the answer is too long");
  }
  const auto& response = parser.get();
  if (response.result() != http::status::ok)
    co_return failed(kFetchError, host + " answers " + std::to_string(response.result_int()) + (response.result_int() / 100 == 3 ? ", and nobody is sent on here" : ""));
  const std::string_view type(response[http::field::content_type].data(), response[http::field::content_type].size());
  if (!is_plain_text(type)) co_return failed(kInvalid, host + ": the policy is no plain text");
  auto policy = parse_sts_policy(response.body());
  if (!policy) co_return failed(kInvalid, host + ": " + policy.error().what);
  StsFetched fetched;
  fetched.policy = std::move(*policy);
  co_return fetched;
}

net::Awaitable<StsFetched> StsFetcher::fetch(std::string domain) {
  const std::string host = "mta-sts." + domain;
  const auto until = steady_clock::now() + settings_.time;
  auto addresses = co_await net::addresses_of(resolver_, host);
  if (!addresses) co_return failed(kFetchError, "addresses of " + host + ": " + addresses.error().what);
  StsFetched last;
  for (std::size_t i = 0; i < std::min(kAddressesTried, addresses->size()); ++i) {
    const net::Endpoint endpoint{(*addresses)[i], settings_.port};
    const auto left = [&] { return std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now()); };
    if (left().count() <= 0) co_return failed(kFetchError, host + ": time limit is over");
    auto stream = co_await net::SocketStream::connect(io_, endpoint, limits_, std::min(left(), kConnectTime));
    if (!stream) {
      last = failed(kFetchError, host + ": " + stream.error().what);
      continue;
    }
    // For all that follows, however slowly it comes.
    (*stream)->set_time_limit(std::max(left(), std::chrono::milliseconds(1)));
    net::TlsServer server;
    server.name = host;
    server.verify = true;
    const auto shaken = co_await (*stream)->start_tls_as_client(tls_, std::move(server));
    if (!shaken) {
      last = failed(shaken.error().kind == Kind::denied ? kBadCertificate : kFetchError, host + ": " + shaken.error().what);
      continue;
    }
    co_return co_await fetch_sts_policy(**stream, host);
  }
  co_return last;
}

}  // namespace postern::relay
