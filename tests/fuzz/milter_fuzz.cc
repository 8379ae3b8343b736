// SPDX-License-Identifier: Apache-2.0
// A milter that answers anything: three bytes choose what it negotiates, the rest are its packets. Whatever comes, a refusal has a code from 400 to 599
// with a status of its class and no line ends but LF in its text, and the header is still one: each field one field.
#include "../unit/milter/small_message.h"

#include "mail/header.h"
#include "milter/chain.h"
#include "net/run_coroutine.h"

#include <cstdint>
#include <cstdlib>

using namespace postern;

namespace {

class Once final : public milter::Opener {
 public:
  explicit Once(std::string bytes) : bytes_(std::move(bytes)) {}
  net::Awaitable<Result<std::unique_ptr<net::Stream>>> open(conf::Milter) override {
    if (bytes_.empty()) co_return Error{Kind::temporary, "no more"};
    std::vector<std::string> pieces{std::move(bytes_)};
    bytes_.clear();
    co_return std::unique_ptr<net::Stream>(std::make_unique<net::ScriptedStream>(std::move(pieces)));
  }

 private:
  std::string bytes_;
};

void check(const milter::Verdict& verdict) {
  if (!verdict.refuses()) return;
  if (verdict.code < 400 || verdict.code > 599 || verdict.status.size() < 5 || verdict.status[0] != '0' + verdict.code / 100) std::abort();
  if (verdict.text.find_first_of(std::string_view("\r\0", 2)) != std::string::npos) std::abort();
}

net::Awaitable<bool> talk(Once& opener) {
  std::vector<conf::Milter> settings(1);
  settings[0].name = "m";
  settings[0].when_down = conf::Milter::WhenDown::accept;
  milter::Chain chain(opener, std::move(settings), "fuzz", {"mail.example.net", {*net::Address::parse("192.0.2.7"), 1}});
  check(co_await chain.connect());
  check(co_await chain.hello("x"));
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> none;
    milter::Verdict verdict = co_await chain.mail("<a@b>", none);
    check(verdict);
    verdict = co_await chain.recipient("<c@d>", none);
    check(verdict);
    verdict = co_await chain.data();
    check(verdict);
    const mail::TextInMemory text(test::kSmallMessage);
    auto message = milter::Message::read(text, true);
    const std::function<std::unique_ptr<milter::NewBody>()> new_body = [] { return std::make_unique<test::StringBody>(); };
    const milter::MessageVerdict result = co_await chain.message(*message, 1000, new_body);
    check(result.verdict);
    const std::string header = message->header();
    const mail::Header parsed = mail::parse_header(header);
    if (parsed.fields.size() != message->fields().size() || parsed.body_offset != header.size()) std::abort();
  }
  co_await chain.quit();
  co_return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::uint32_t actions = data[0] | (data[1] & 1U) << 8;
  const std::uint32_t steps = (data[1] & 2U ? milter::step::kLeadingSpace : 0) | (data[1] & 4U ? milter::step::kSilentHeader | milter::step::kSilentBody : 0) | (data[2] & 0x7fU);
  const std::string_view rest(reinterpret_cast<const char*>(data) + 3, size - 3);
  Once opener(milter::packet('O', milter::number(6) + milter::number(actions) + milter::number(steps)) + std::string(rest));
  net::run_coroutine(talk(opener));
  static_cast<void>(milter::parse_offer(rest));
  return 0;
}
