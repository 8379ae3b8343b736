// SPDX-License-Identifier: Apache-2.0
// DATA and BDAT, and what becomes of the message behind them.
#include "base/log.h"
#include "base/text.h"
#include "mail/header.h"
#include "mail/received.h"
#include "mail/submission_header.h"
#include "smtp/engine.h"
#include "smtp/refusal.h"

#include <algorithm>

namespace postern::smtp {
namespace {

// Chunks beyond this number must carry kSmallChunk bytes on average: each costs a reply (hardening.md 3, small pieces).
constexpr std::uint64_t kFreeChunks = 100;
constexpr std::uint64_t kSmallChunk = 256;
// What a chunk behind one that was refused counts for at least, so that their number has an end, too.
constexpr std::uint64_t kLeastFailedChunk = 64 * 1024;

// The different texts of all who refuse, one below the other.
std::string joined_texts(const std::vector<Committed::Refused>& refused) {
  std::vector<std::string_view> texts;
  std::string joined;
  for (const Committed::Refused& one : refused) {
    if (std::find(texts.begin(), texts.end(), one.text) != texts.end()) continue;
    texts.push_back(one.text);
    joined.append(one.text).append(one.text.ends_with('\n') ? "" : "\n");
  }
  return joined;
}

}  // namespace

std::optional<Reply> Session::not_ready_for_text() const {
  if (!transaction_) return Reply{503, "5.5.1", "say MAIL and RCPT first"};
  // RFC 2033 section 4.2: LMTP must say 503 here; RFC 5321 section 3.3 leaves SMTP the choice of 554.
  if (transaction_->accepted.empty()) return Reply{lmtp() ? 503 : 554, "5.5.1", "no valid recipients"};
  return std::nullopt;
}

void Session::begin_text(TextDecoder::Form form) {
  Transaction& transaction = *transaction_;
  // Milters want to know it from MAIL on.
  if (transaction.envelope.id.empty()) transaction.envelope.id = services_.new_message_id();
  transaction.envelope.received = base::wall_now();
  mail::ReceivedFacts facts;
  facts.helo = transaction.envelope.helo;
  facts.client_address = transaction.envelope.client_address;
  facts.host_name = configuration_->host_name;
  facts.protocol = transaction.envelope.protocol;
  if (configuration_->submission.hide_client && !transaction.envelope.authenticated.empty()) {
    facts.helo = configuration_->host_name;
    facts.client_address.clear();
  }
  if (!hello_->facts->tls_protocol.empty()) facts.tls = hello_->facts->tls_protocol + " with " + hello_->facts->cipher;
  facts.id = transaction.envelope.id;
  facts.time = transaction.envelope.received;
  facts.priority = transaction.envelope.priority;
  if (transaction.accepted.size() == 1 && transaction.envelope.recipients.size() == 1)
    facts.recipient = transaction.envelope.recipients.front().address;
  std::string head = mail::received_field(facts);
  for (const std::string& field : transaction.header_fields) {
    const std::string line = base::printable(field, 998);  // RFC 5322 section 2.1.1
    if (mail::is_field_name(std::string_view(line).substr(0, line.find(':'))) && line.find(':') != std::string::npos) head += line + "\r\n";
    else base::log_event(base::Severity::warning, "header-line-bad", {{"session", info_.id}, {"text", line}});
  }
  Incoming::Limits limits;
  limits.message_bytes = transaction.message_bytes;
  limits.large_bytes = transaction.configuration->spool.large_message_bytes;
  limits.received_fields = transaction.configuration->smtp.received_fields;
  limits.header_changes = transaction.access.changes_header() || transaction.completes_header;
  transaction.incoming = std::make_unique<Incoming>(services_, transaction.envelope.id, std::move(head), transaction.declared_bytes, limits);
  transaction.decoder = std::make_unique<TextDecoder>(form, transaction.configuration->smtp.text_line_bytes);
  transaction.text_until = base::steady_now() + (info_.restricted ? std::min(transaction.configuration->restricted.data_time, transaction.configuration->smtp.data_time)
                                                                     : transaction.configuration->smtp.data_time);
}

net::Awaitable<Session::Next> Session::read_text(std::optional<std::uint64_t> chunk_bytes) {
  Transaction& transaction = *transaction_;
  Incoming& incoming = *transaction.incoming;
  for (;;) {
    // A client that is never silent runs out of time too, and one that begins chunk after chunk.
    if (base::steady_now() >= transaction.text_until) {
      transaction_.reset();
      co_return time_is_over();
    }
    if (chunk_bytes == 0U) break;
    stream_.set_time_limit(patience());
    const auto piece = co_await input_.read_some();
    if (!piece) {
      transaction_.reset();
      co_return lost(piece.error());
    }
    if (piece->empty()) {
      transaction_.reset();
      watch_.set_end_reason("closed by peer");
      co_return Next::close;
    }
    const std::string_view text = piece->substr(0, std::min<std::uint64_t>(chunk_bytes.value_or(piece->size()), piece->size()));
    const TextDecoder::Fed fed = transaction.decoder->feed(text, incoming.text());
    input_.consume_text(fed.consumed);
    if (chunk_bytes) *chunk_bytes -= fed.consumed;
    incoming.settle();
    if (incoming.is_header_due()) co_await change_header(transaction);
    if (fed.state == TextDecoder::State::end) break;
    if (fed.state == TextDecoder::State::garbage) co_return close_for_line_ends("bare CR, bare LF or NUL in the message, closing connection");
    if (incoming.discarded_enough()) {
      transaction_.reset();
      co_return close_with(552, "5.3.4", "message far too large, closing connection", "message too large");
    }
  }
  co_return Next::command;
}

net::Awaitable<void> Session::change_header(Transaction& transaction) {
  std::optional<std::string> changed;
  if (transaction.completes_header && transaction.configuration->submission.complete_header) transaction.hides_blind_copies = transaction.incoming->hides_blind_copies();
  if (transaction.access.changes_header()) changed = co_await transaction.access.changed_header(transaction.incoming->header());
  // Of a header that has not come whole, what is missing can't be told.
  if (transaction.completes_header && transaction.incoming->has_whole_header()) {
    mail::SubmissionFacts facts;
    facts.account = transaction.envelope.authenticated;
    facts.message_id = transaction.envelope.id + "@" + configuration_->host_name;
    facts.reverse_path = transaction.envelope.reverse_path;
    facts.utf8 = transaction.envelope.smtputf8;
    facts.now = transaction.envelope.received;
    facts.complete = transaction.configuration->submission.complete_header;
    facts.add_sender = transaction.configuration->submission.add_sender;
    const std::string header = changed ? *changed : transaction.incoming->header();
    auto completed = mail::completed_header(header, facts);
    if (completed) changed = std::move(completed);
  }
  transaction.incoming->change_header(std::move(changed));
}

Session::Next Session::close_for_line_ends(std::string_view text) {
  transaction_.reset();
  watch_.note_protocol_error();
  return close_with(550, "5.6.11", text, "line ends");
}

net::Awaitable<Session::Next> Session::on_data(std::string_view argument) {
  co_await pause_transaction();
  if (!argument.empty()) co_return bad_command(501, "5.5.4", "DATA takes no argument");
  if (const auto wrong = not_ready_for_text()) co_return bad_command(wrong->code, wrong->status, wrong->text);
  if (transaction_->incoming) co_return bad_command(503, "5.5.1", "go on with BDAT");  // RFC 3030 section 2
  if (transaction_->recipient_cutoff && transaction_->asked > *transaction_->recipient_cutoff) {
    transaction_.reset();
    reply(554, "5.5.3", "too many recipients");
    co_return Next::command;
  }
  const auto excess = co_await count_text();
  if (excess) {
    transaction_.reset();
    reply(excess->code, excess->status, excess->text);
    co_return Next::command;
  }
  watch_.describe("DATA");
  if (milters_) {
    const milter::Verdict verdict = co_await ask_milters_data();
    if (verdict.refuses()) {
      transaction_.reset();
      co_return refuse_for_milter(verdict);
    }
  }
  reply(354, "", "End with <CRLF>.<CRLF>");
  begin_text(TextDecoder::Form::data);
  const Next next = co_await read_text({});
  if (next == Next::close) co_return next;
  co_return co_await finish_text();
}

// The bytes of a chunk that nobody wants must be read all the same (RFC 3030 section 2).
net::Awaitable<Session::Next> Session::skip_chunk(std::uint64_t size_bytes) {
  while (size_bytes > 0) {
    const auto piece = co_await input_.read_some();
    if (!piece) co_return lost(piece.error());
    if (piece->empty()) {
      watch_.set_end_reason("closed by peer");
      co_return Next::close;
    }
    const auto count = std::min<std::uint64_t>(size_bytes, piece->size());
    input_.consume_text(count);
    size_bytes -= count;
  }
  co_return Next::command;
}

net::Awaitable<Session::Next> Session::on_chunk(std::string_view argument) {
  co_await pause_transaction();
  const auto chunk = parse_chunk(argument);
  // How many bytes follow is not known, so nothing that follows can be trusted.
  if (!chunk) {
    watch_.note_protocol_error();
    co_return close_with(501, "5.5.4", "expected BDAT size [LAST], closing connection", "bad chunk");
  }

  auto wrong = not_ready_for_text();
  if (!wrong && transaction_->recipient_cutoff && transaction_->asked > *transaction_->recipient_cutoff) {
    transaction_.reset();
    wrong = Reply{554, "5.5.3", "too many recipients"};
  }
  if (!wrong) {
    wrong = co_await count_text();
    if (wrong) transaction_.reset();
  }
  if (wrong) {
    if (chunk->size_bytes > Incoming::kDiscardBytes)
      co_return close_with(552, "5.3.4", "chunk far too large, closing connection", "message too large");
    const Next next = co_await skip_chunk(chunk->size_bytes);
    if (next == Next::close) co_return next;
    // RFC 3030 section 2: chunks that were on their way when another one was refused are no errors.
    const std::uint64_t cost = std::max(chunk->size_bytes, kLeastFailedChunk);
    if (cost <= behind_failed_chunk_) {
      behind_failed_chunk_ -= cost;
      reply(*wrong);
      co_return Next::command;
    }
    co_return bad_command(wrong->code, wrong->status, wrong->text);
  }

  Transaction& transaction = *transaction_;
  watch_.describe("BDAT");
  // Not read to be thrown away: what is far beyond the limit, and much that is refused before it is read.
  const bool much = chunk->size_bytes > Incoming::kDiscardBytes;
  if (much && chunk->size_bytes - Incoming::kDiscardBytes > transaction.message_bytes) {
    transaction_.reset();
    co_return close_with(552, "5.3.4", "chunk far too large, closing connection", "message too large");
  }
  if (milters_ && !transaction.incoming) {
    const milter::Verdict verdict = co_await ask_milters_data();
    if (verdict.refuses()) {
      transaction_.reset();
      behind_failed_chunk_ = Incoming::kDiscardBytes;
      if (!much) {
        const Next next = co_await skip_chunk(chunk->size_bytes);
        if (next == Next::close) co_return next;
        co_return refuse_for_milter(verdict);
      }
      reply_lines(verdict.code, verdict.status, verdict.text);
      watch_.set_end_reason("a milter said so");
      co_return Next::close;
    }
  }
  if (!transaction.incoming) begin_text(TextDecoder::Form::chunks);
  ++transaction.chunk_count;
  if (transaction.chunk_count > kFreeChunks && transaction.incoming->received_bytes() / transaction.chunk_count < kSmallChunk) {
    transaction_.reset();
    watch_.note_protocol_error();
    co_return close_with(421, "4.7.0", "too many small chunks", "small chunks");
  }
  const Next next = co_await read_text(chunk->size_bytes);
  if (next == Next::close) co_return next;
  if (!chunk->last && !transaction.incoming->is_lost()) {
    reply(250, "2.0.0", std::to_string(chunk->size_bytes) + " octets received");
    co_return Next::command;
  }
  if (!chunk->last) {
    // RFC 3030 section 2: a chunk that is refused ends the transaction, and a client that waits for replies need not send the others.
    transaction.cut_short = true;
    behind_failed_chunk_ = Incoming::kDiscardBytes;
  } else if (!transaction.decoder->finish(transaction.incoming->text())) {
    co_return close_for_line_ends("bare CR at the end of the message, closing connection");
  }
  co_return co_await finish_text();
}

// RFC 2033 sections 4.2 and 4.3: LMTP answers once for each recipient that was accepted; to a chunk that is not the last, once.
void Session::reply_for_text(const Reply& answer, const Transaction& transaction) {
  const std::size_t count = lmtp() && !transaction.cut_short ? transaction.accepted.size() : 1;
  for (std::size_t i = 0; i < count; ++i) reply_lines(answer.code, answer.status, answer.text);
  if (answer.code / 100 != 2) services_.message_refused(answer.status);
}

void Session::reply_lines(int code, std::string_view status, std::string_view text) {
  const std::vector<std::string> lines = refusal_lines(text);
  const std::string begin = std::to_string(code) + "-" + std::string(status) + (status.empty() ? "" : " ");
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) stream_.add(begin + lines[i] + "\r\n");
  reply(code, status, lines.back());
}

net::Awaitable<bool> Session::check_message(Transaction& transaction, Examined& examined) {
  Incoming& incoming = *transaction.incoming;
  const std::uint64_t begins = incoming.client_begins();
  const mail::TextFrom text(incoming.whole(), begins);
  const MessageUnderCheck message{hello_->facts.get(), &transaction.envelope, &text};
  CheckResult result = co_await services_.check(message);
  examined.log = std::move(result.log);
  if (result.refusal) {
    examined.refusal = std::move(result.refusal);
    co_return true;
  }
  transaction.envelope.authentication = std::move(result.authentication);
  if (!result.hold.empty()) {
    transaction.envelope.held = true;
    if (transaction.envelope.held_by.empty()) transaction.envelope.held_by = std::move(result.hold);
  }
  if (result.fields.empty() && result.removed.empty()) co_return false;
  TextBuilder built(services_, incoming.id(), incoming.large_bytes());
  auto done = built.append(result.fields);
  std::uint64_t at = 0;
  for (const CheckResult::Part& part : result.removed) {
    if (done) done = co_await built.copy(incoming.whole(), at, begins + part.offset);
    at = begins + part.offset + part.bytes;
  }
  if (done) done = co_await built.copy(incoming.whole(), at, incoming.whole().size_bytes());
  if (done) done = incoming.replace(std::move(built));
  if (done) co_return false;
  base::log_event(base::Severity::error, "message-not-stored", {{"id", incoming.id()}, {"reason", done.error().what}});
  examined.refusal = Reply{452, "4.3.1", "no room for the message now, try again later"};
  co_return true;
}

net::Awaitable<Session::Examined> Session::examine_message(Transaction& transaction) {
  Examined examined;
  if (services_.checks(*hello_->facts)) {
    const bool refused = co_await check_message(transaction, examined);
    if (refused) co_return examined;
  }
  if (milters_) co_await examine_with_milters(transaction, examined);
  co_return examined;
}

net::Awaitable<Session::Next> Session::finish_text() {
  // The transaction ends here, whatever becomes of the message.
  const std::unique_ptr<Transaction> transaction = std::move(transaction_);
  const std::unique_ptr<Incoming>& incoming = transaction->incoming;
  ++messages_;
  incoming->finish();
  if (incoming->wants_header()) co_await change_header(*transaction);
  auto refused = incoming->verdict();
  if (!refused && transaction->decoder->line_too_long()) refused = Reply{554, "5.6.0", "a line of the message is too long"};
  if (!refused && transaction->hides_blind_copies)
    refused = Reply{554, "5.6.0", "the header has a line that is no field, and a Bcc field behind it, which everybody would see"};
  const std::string id = incoming->id();
  const bool kept = !transaction->bit_bucket && !transaction->envelope.recipients.empty();
  Examined examined;
  if (!refused && kept) {
    examined = co_await examine_message(*transaction);
    refused = std::move(examined.refusal);
  }
  if (milters_) co_await milters_->abort();
  const std::uint64_t size = incoming->size_bytes();
  base::Fields fields;
  if (base::log_enabled(base::Severity::info))
    fields = {{"session", info_.id}, {"id", id}, {"client", info_.remote.address.to_string()}, {"from", transaction->envelope.reverse_path},
              {"size", size}, {"recipients", transaction->envelope.recipients.size()}, {"channel", source_channel_}};
  if (!fields.empty() && !hello_->facts->auth_rules.empty()) fields.emplace_back("auth_rules", hello_->facts->auth_rules);
  if (!fields.empty()) fields.insert(fields.end(), std::make_move_iterator(examined.log.begin()), std::make_move_iterator(examined.log.end()));
  // Nobody waits for it with his own (Services::message_begins()), whatever this session still waits for.
  if (refused || !kept || examined.discarded) transaction->incoming.reset();
  if (refused) {
    co_await pause(transaction->delay);
    fields.emplace_back("reply", refused->code);
    fields.emplace_back("status", refused->status);
    base::log_event(base::Severity::info, "message-refused", fields);
    reply_for_text(*refused, *transaction);
    if (!examined.close) co_return Next::command;
    watch_.set_end_reason("a milter said so");
    co_return Next::close;
  }
  if (!kept || examined.discarded) {
    begin_anew();
    base::log_event(base::Severity::info, "message-thrown-away", fields);
    co_await pause(transaction->delay);
    reply_for_text({250, "2.0.0", "Ok: queued as " + id}, *transaction);
    co_return Next::command;
  }

  // Here the mail becomes ours: no "250" before this came back without an error.
  Result<Committed> stored;
  if (incoming->is_large()) {
    stored = co_await services_.commit_large(std::move(transaction->envelope), incoming->take_large(), lmtp());
  } else {
    stored = co_await services_.commit(std::move(transaction->envelope), incoming->take_text(), lmtp());
  }
  transaction->incoming.reset();
  co_await pause(transaction->delay);
  if (!stored) {
    fields.emplace_back("reason", stored.error().what);
    base::log_event(base::Severity::error, "message-not-stored", fields);
    const auto room = services_.check_room();
    if (!room) reply_for_text({452, "4.3.1", "no room for the message now, try again later"}, *transaction);
    else reply_for_text({451, "4.3.0", "the message could not be stored, try again later"}, *transaction);
    co_return Next::command;
  }
  if (!fields.empty()) {
    for (const Committed::Refused& refused_by : stored->refused) {
      fields.emplace_back("refused_by", refused_by.original);
      fields.emplace_back("reason", base::printable(refused_by.text, 200));
    }
  }
  if (!stored->taken) {
    fields.emplace_back("reply", 550);
    fields.emplace_back("status", "5.7.1");
    base::log_event(base::Severity::info, "message-refused", fields);
    services_.message_refused("5.7.1");
  } else {
    begin_anew();
    base::log_event(base::Severity::info, "message-accepted", fields);
  }
  if (!lmtp()) {
    if (stored->taken) reply(250, "2.0.0", "Ok: queued as " + id);
    else reply_lines(550, "5.7.1", joined_texts(stored->refused));
    co_return Next::command;
  }
  for (const std::string& recipient : transaction->accepted) {
    const auto refused_by = std::find_if(stored->refused.begin(), stored->refused.end(), [&](const Committed::Refused& one) { return one.original == recipient; });
    // An address that led nowhere new shares the fate of the others.
    if (refused_by != stored->refused.end()) reply_lines(550, "5.7.1", refused_by->text);
    else if (stored->taken) reply(250, "2.0.0", "Ok: queued as " + id);
    else reply_lines(550, "5.7.1", stored->refused.front().text);
  }
  co_return Next::command;
}

}  // namespace postern::smtp
