// SPDX-License-Identifier: Apache-2.0
#include "service/datagram_service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "gate/ledger.h"
#include "gate/refusals.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

namespace postern::service {
namespace {

using namespace std::chrono_literals;
using gate::DatagramOutcome;

// Batches read from a socket that goes away: what a queue of the largest size can hold of small datagrams. Nothing new comes in.
constexpr int kLastBatches = 8192;
// Out of memory: how soon to try again.
constexpr auto kPause = 200ms;

// Room for the address that a datagram was sent to, and for the count of those that were lost.
struct alignas(cmsghdr) Control {
  std::array<std::byte, CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(std::uint32_t))> bytes{};
};

// What the kernel says beside a datagram.
struct Beside {
  net::Address local;
  unsigned interface = 0;  // only where an address means nothing without one
  std::optional<std::uint32_t> lost;
};

Beside read_control(msghdr& message) {
  Beside beside;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      // Not ipi_addr: a datagram sent to a broadcast address is answered from our own.
      beside.local = net::Address::ipv4(ntohl(info.ipi_spec_dst.s_addr));
    } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      std::array<std::uint8_t, 16> bytes;
      std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
      beside.local = net::Address::ipv6(bytes);
      if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) beside.interface = info.ipi6_ifindex;
    } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL) {
      std::uint32_t lost = 0;
      std::memcpy(&lost, CMSG_DATA(part), sizeof lost);
      beside.lost = lost;
    }
  }
  return beside;
}

// The source address that the answer leaves from (U-5).
std::size_t write_control(Control& control, const Beside& beside) {
  msghdr message{};
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  cmsghdr* const part = CMSG_FIRSTHDR(&message);
  if (beside.local.is_ipv4()) {
    part->cmsg_level = IPPROTO_IP;
    part->cmsg_type = IP_PKTINFO;
    part->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, beside.local.bytes().data(), sizeof info.ipi_spec_dst);
    std::memcpy(CMSG_DATA(part), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
  }
  part->cmsg_level = IPPROTO_IPV6;
  part->cmsg_type = IPV6_PKTINFO;
  part->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, beside.local.bytes().data(), sizeof info.ipi6_addr);
  info.ipi6_ifindex = beside.interface;
  std::memcpy(CMSG_DATA(part), &info, sizeof info);
  return CMSG_SPACE(sizeof info);
}

}  // namespace

// One socket that is read from.
struct Reading {
  Reading(net::asio::io_context& io, ListeningSocket from) : waiter(io), pause(io) {
    waiter.assign(from.socket.release());
    info = std::move(from);
  }
  ListeningSocket info;
  net::asio::posix::stream_descriptor waiter;
  net::asio::steady_timer pause;
  // The configuration that `row` points into: the present one, or the last that had the row.
  std::shared_ptr<const conf::Configuration> configuration;
  RowOf row;
  std::uint32_t lost = 0;  // the kernel's count, so far
  bool closed = false;

  void close() {
    closed = true;
    boost::system::error_code ignored;
    waiter.close(ignored);
    pause.cancel();
  }
};

// Datagrams of one service that ended one way, since the last line in the log.
struct Sum {
  std::uint64_t count = 0;
  net::Address last;
  std::optional<std::chrono::steady_clock::time_point> since;  // none: the next one is written at once
};

// What would have been refused if the rule were not only tried: counted beside what became of the datagram.
bool is_tried(DatagramOutcome outcome) { return outcome == DatagramOutcome::would_restrict || outcome == DatagramOutcome::would_block; }

// Refusals that the ledger shows as one.
struct Refused {
  conf::Module module;
  gate::Reason reason;
  bool dry_run;
  net::Address key;
  friend auto operator<=>(const Refused&, const Refused&) = default;
};

struct DatagramService::State : std::enable_shared_from_this<DatagramService::State> {
  State(net::asio::io_context& context, ControlLink& control, DatagramSettings s, DatagramHandler h)
      : io(context), link(control), settings(s), handler(std::move(h)), second(context), buffer(kBatch * settings.largest_request) {}

  void add(ListeningSocket socket);
  void find_row_of(Reading& reading);
  void remove(std::uint32_t id);
  void wait(const std::shared_ptr<Reading>& reading);
  enum class Read { more, empty, pause, useless };
  Read read_batch(Reading& reading);
  void handle(Reading& reading, std::string_view bytes, bool cut, const sockaddr_storage& peer, socklen_t peer_length, const Beside& beside);
  void note(const Reading& reading, DatagramOutcome outcome, const net::Endpoint& remote, const net::Endpoint& local, std::uint64_t count = 1,
            const Verdict& verdict = {});
  // True: refused, and dropped; not if the rule is only tried.
  bool refuse(const Reading& reading, const gate::Refusal& refusal, const net::Endpoint& remote, const net::Endpoint& local);
  void write_sums(bool all);
  void note_refusals();
  void each_second();
  void finish();

  net::asio::io_context& io;
  ControlLink& link;
  DatagramSettings settings;
  DatagramHandler handler;
  std::optional<gate::DatagramCounts> counts;
  // The same memory twice: whether a sender is blocked is looked up without the lock, for which nobody's datagram should wait.
  std::optional<gate::Ledger> blocks, ledger;
  Error memory_error;
  net::asio::steady_timer second;
  std::map<std::uint32_t, std::shared_ptr<Reading>> reading;
  std::map<std::pair<conf::Module, DatagramOutcome>, Sum> sums;
  std::map<Refused, std::uint64_t> refused;  // since the ledger was told
  std::vector<char> buffer;
  std::array<sockaddr_storage, kBatch> peers{};
  std::array<iovec, kBatch> pieces{};
  std::array<Control, kBatch> controls{};
  std::array<mmsghdr, kBatch> messages{};
  std::chrono::steady_clock::time_point started = base::steady_now();
  unsigned early_percent = static_cast<unsigned>(base::random_u64() % 11);
  bool begun = false, asked_replacement = false, finishing = false;
};

void DatagramService::State::add(ListeningSocket socket) {
  if (finishing || !socket.socket.valid() || reading.contains(socket.id)) return;
  const auto id = socket.id;
  auto added = std::make_shared<Reading>(io, std::move(socket));
  const int on = 1;
  // How many datagrams found the queue full; without it they are only missing from the figures.
  ::setsockopt(added->waiter.native_handle(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
  // A predecessor has counted what was lost before.
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  if (::getsockopt(added->waiter.native_handle(), SOL_SOCKET, SO_MEMINFO, memory.data(), &size) == 0) added->lost = memory[SK_MEMINFO_DROPS];
  find_row_of(*added);
  reading[id] = added;
  if (begun) wait(added);
}

void DatagramService::State::find_row_of(Reading& socket) {
  const auto& configuration = link.configuration();
  const RowOf found = find_row(*configuration, socket.info.module, socket.info.port, socket.info.row_address);
  if (found.row == nullptr) return;
  socket.configuration = configuration;
  socket.row = found;
}

void DatagramService::State::remove(std::uint32_t id) {
  const auto found = reading.find(id);
  if (found == reading.end()) return;
  // What came before is answered (L-43).
  for (int batches = 0; begun && batches < kLastBatches && read_batch(*found->second) == Read::more; ++batches) {}
  found->second->close();
  reading.erase(found);
}

void DatagramService::State::wait(const std::shared_ptr<Reading>& socket) {
  socket->waiter.async_wait(net::asio::posix::stream_descriptor::wait_read, [self = shared_from_this(), socket](const boost::system::error_code& error) {
    if (error || socket->closed) return;
    switch (self->read_batch(*socket)) {
      case Read::more:
      case Read::empty: return self->wait(socket);  // the other sockets, and the master's orders, come in between
      case Read::pause:
        socket->pause.expires_after(kPause);
        socket->pause.async_wait([self, socket](const boost::system::error_code& stopped) {
          if (!stopped && !socket->closed) self->wait(socket);
        });
        return;
      case Read::useless:
        self->reading.erase(socket->info.id);
        socket->close();
        return;
    }
  });
}

DatagramService::State::Read DatagramService::State::read_batch(Reading& socket) {
  for (std::size_t i = 0; i < kBatch; ++i) {
    pieces[i] = {buffer.data() + i * settings.largest_request, settings.largest_request};
    msghdr& message = messages[i].msg_hdr;
    message = {};
    message.msg_name = &peers[i];
    message.msg_namelen = sizeof peers[i];
    message.msg_iov = &pieces[i];
    message.msg_iovlen = 1;
    message.msg_control = controls[i].bytes.data();
    message.msg_controllen = controls[i].bytes.size();
  }
  const int got = ::recvmmsg(socket.waiter.native_handle(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (got < 0) {
    const int saved = errno;
    if (saved == EAGAIN || saved == EWOULDBLOCK) return Read::empty;
    if (saved == ENOMEM || saved == ENOBUFS) return Read::pause;
    if (saved == EBADF || saved == ENOTSOCK || saved == EINVAL) return Read::useless;
    return Read::more;  // interrupted, or an error that an earlier answer brought back
  }
  for (int i = 0; i < got; ++i) {
    msghdr& message = messages[static_cast<std::size_t>(i)].msg_hdr;
    const Beside beside = read_control(message);
    if (beside.lost && *beside.lost != socket.lost) {
      note(socket, DatagramOutcome::lost, {}, {}, *beside.lost - socket.lost);
      socket.lost = *beside.lost;
    }
    const std::size_t length = std::min<std::size_t>(messages[static_cast<std::size_t>(i)].msg_len, settings.largest_request);
    handle(socket, {buffer.data() + static_cast<std::size_t>(i) * settings.largest_request, length}, (message.msg_flags & MSG_TRUNC) != 0,
           peers[static_cast<std::size_t>(i)], message.msg_namelen, beside);
  }
  return got == static_cast<int>(kBatch) ? Read::more : Read::empty;
}

void DatagramService::State::handle(Reading& socket, std::string_view bytes, bool cut, const sockaddr_storage& peer, socklen_t peer_length,
                                    const Beside& beside) {
  if (socket.row.row == nullptr) return;  // no row ever named it
  const net::Endpoint remote = net::Endpoint::from(peer), local{beside.local, socket.info.port};
  const conf::Listener& listener = *socket.row.listener;
  if (gate::kept_out(*socket.row.row, remote.address) &&
      refuse(socket, gate::restriction_refusal(listener, *socket.row.row, remote.address), remote, local))
    return;
  if (const auto block = blocks->blocked(remote.address); block && refuse(socket, gate::block_refusal(listener, block->network.to_string(), remote.address), remote, local))
    return;
  if (cut) return note(socket, DatagramOutcome::oversized, remote, local);
  // An answer to port 0 would go nowhere; only a forger sends from there.
  if (remote.port == 0) return note(socket, DatagramOutcome::damaged, remote, local);
  DatagramReply reply;
  try {
    reply = handler({bytes, remote, local, socket.configuration.get(), socket.row.row});
  } catch (const std::exception& error) {
    base::log_event(base::Severity::error, "datagram-failed",
                    {{"listener", conf::to_string(socket.info.module)}, {"remote", remote.to_string()}, {"error", error.what()}});
    reply = {};
  }
  if (reply.outcome == DatagramOutcome::answered) {
    Control control{};
    iovec piece{reply.bytes.data(), reply.bytes.size()};
    msghdr message{};
    // sendmsg(2) takes the address as it came, scope included.
    message.msg_name = const_cast<sockaddr_storage*>(&peer);
    message.msg_namelen = peer_length;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = write_control(control, beside);
    if (::sendmsg(socket.waiter.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) reply.outcome = DatagramOutcome::unanswered;
  }
  note(socket, reply.outcome, remote, local);
}

bool DatagramService::State::refuse(const Reading& socket, const gate::Refusal& refusal, const net::Endpoint& remote, const net::Endpoint& local) {
  const bool restricted = refusal.reason == gate::Reason::restricted, dry_run = refusal.verdict.dry_run;
  note(socket, dry_run ? (restricted ? DatagramOutcome::would_restrict : DatagramOutcome::would_block) : (restricted ? DatagramOutcome::restricted : DatagramOutcome::blocked),
       remote, local, 1, refusal.verdict);
  const Refused kind{socket.info.module, refusal.reason, dry_run, gate::counting_key(*socket.row.listener, remote.address)};
  if (const auto known = refused.find(kind); known != refused.end()) ++known->second;
  else if (refused.size() < kMostRefused) refused.emplace(kind, 1);
  return !dry_run;
}

void DatagramService::State::note_refusals() {
  for (const auto& [kind, count] : refused) ledger->note_datagrams(kind.module, kind.reason, kind.dry_run, kind.key, count);
  refused.clear();
}

void DatagramService::State::note(const Reading& socket, DatagramOutcome outcome, const net::Endpoint& remote, const net::Endpoint& local,
                                  std::uint64_t count, const Verdict& verdict) {
  counts->add(socket.info.module, outcome, count);
  if (outcome == DatagramOutcome::answered) return;
  Sum& sum = sums[{socket.info.module, outcome}];
  sum.last = remote.address;
  if (sum.since) {
    sum.count += count;
    return;
  }
  sum.since = base::steady_now();
  base::Fields fields{{"listener", conf::to_string(socket.info.module)}, {"reason", gate::to_string(outcome)}};
  // Of what was lost nobody knows where it came from.
  if (outcome == DatagramOutcome::lost) {
    fields.emplace_back("count", count);
  } else {
    fields.emplace_back("remote", remote.to_string());
    fields.emplace_back("local", local.to_string());
    if (!verdict.table.empty())
      for (auto& field : log_fields(verdict)) fields.push_back(std::move(field));
  }
  if (is_tried(outcome)) base::log_event(base::Severity::notice, "datagram-would-be-dropped", fields);
  else base::log_event(base::Severity::notice, "datagram-dropped", fields);
}

void DatagramService::State::write_sums(bool all) {
  const auto now = base::steady_now();
  const auto period = link.configuration()->gate.refusal_sums;
  for (auto& [kind, sum] : sums) {
    if (!sum.since || (!all && now - *sum.since < period)) continue;
    if (sum.count == 0) {
      sum.since.reset();
      continue;
    }
    base::Fields fields{{"listener", conf::to_string(kind.first)},
                        {"reason", gate::to_string(kind.second)},
                        {"count", sum.count},
                        {"seconds", std::chrono::duration_cast<std::chrono::seconds>(now - *sum.since).count()}};
    if (kind.second != DatagramOutcome::lost) fields.emplace_back("last", sum.last.to_string());
    if (is_tried(kind.second)) base::log_event(base::Severity::notice, "datagrams-would-be-dropped", fields);
    else base::log_event(base::Severity::notice, "datagrams-dropped", fields);
    sum.count = 0;
    sum.since = now;
  }
}

void DatagramService::State::each_second() {
  second.expires_after(1s);
  second.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->finishing) return;
    self->write_sums(false);
    self->note_refusals();
    const auto age = self->link.configuration()->children.age;
    if (!self->asked_replacement && age.count() > 0 && base::steady_now() - self->started >= age - age * self->early_percent / 100) {
      self->asked_replacement = true;
      self->link.ask_replacement("age");
    }
    self->each_second();
  });
}

// Nothing is under way between two datagrams; what waits in the sockets is read by the successor, which has them too.
void DatagramService::State::finish() {
  if (finishing) return;
  finishing = true;
  for (auto& [id, socket] : reading) socket->close();
  reading.clear();
  write_sums(true);
  if (ledger) note_refusals();
  second.cancel();
  net::asio::post(io, [self = shared_from_this()] { self->io.stop(); });
}

DatagramService::DatagramService(net::asio::io_context& io, Start& start, ControlLink& link, DatagramSettings settings, DatagramHandler handler)
    : state_(std::make_shared<State>(io, link, settings, std::move(handler))) {
  const auto attach = [&](const char* name, bool writable, auto& to, auto&& make) {
    auto memory = start.map(name, writable);
    if (!memory) {
      state_->memory_error = memory.error();
    } else if (auto made = make(std::move(*memory)); made) {
      to.emplace(std::move(*made));
    } else {
      state_->memory_error = made.error().in(name);
    }
  };
  attach("datagrams", true, state_->counts, gate::DatagramCounts::attach);
  attach("ledger", false, state_->blocks, gate::Ledger::attach);
  attach("ledger", true, state_->ledger, gate::Ledger::attach);
  for (auto& socket : start.sockets) state_->add(std::move(socket));
  start.sockets.clear();
  const std::weak_ptr<State> weak = state_;
  link.on_finish([weak](std::chrono::milliseconds) {
    if (auto state = weak.lock()) state->finish();
  });
  link.on_master_gone([weak] {
    auto state = weak.lock();
    if (!state) return;
    base::log_event(base::Severity::warning, "master-gone", {});
    state->finish();
  });
  link.on_configuration([weak](const std::shared_ptr<const conf::Configuration>&) {
    auto state = weak.lock();
    if (!state) return;
    for (auto& [id, socket] : state->reading) state->find_row_of(*socket);
  });
  link.on_socket_added([weak](ListeningSocket socket) {
    if (auto state = weak.lock()) state->add(std::move(socket));
  });
  link.on_socket_removed([weak](std::uint32_t id, const std::shared_ptr<void>&) {
    if (auto state = weak.lock()) state->remove(id);
  });
}

DatagramService::~DatagramService() {
  for (auto& [id, socket] : state_->reading) socket->close();
}

Result<void> DatagramService::begin() {
  if (!state_->counts || !state_->blocks || !state_->ledger) return state_->memory_error;
  state_->begun = true;
  state_->each_second();
  for (auto& [id, socket] : state_->reading) state_->wait(socket);
  state_->link.ready();
  return {};
}

const gate::DatagramCounts& DatagramService::counts() const { return *state_->counts; }

}  // namespace postern::service
