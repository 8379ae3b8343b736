// SPDX-License-Identifier: Apache-2.0
#include "service/child.h"

#include "base/log.h"
#include "net/orders.h"
#include "service/socket_orders.h"

#include <boost/json/array.hpp>

#include <optional>
#include <type_traits>

namespace postern::service {
namespace {

std::optional<conf::Module> module_named(std::string_view name) {
  for (std::size_t i = 0; i < conf::kModules; ++i)
    if (conf::to_string(static_cast<conf::Module>(i)) == name) return static_cast<conf::Module>(i);
  return std::nullopt;
}

}  // namespace

Result<std::vector<ListeningSocket>> sockets_in(net::Order& order) {
  const Error bad{Kind::invalid, "message with sockets is malformed"};
  const auto* const rows = order.body.if_contains("sockets");
  if (rows == nullptr || !rows->is_array() || rows->get_array().size() != order.descriptors.size()) return bad;
  std::vector<ListeningSocket> sockets;
  std::size_t next = 0;
  for (const auto& row : rows->get_array()) {
    if (!row.is_object()) return bad;
    const auto& object = row.get_object();
    const auto* const id = object.if_contains("id");
    const auto* const module = object.if_contains("module");
    const auto* const port = object.if_contains("port");
    const auto* const address = object.if_contains("address");
    if (id == nullptr || module == nullptr || port == nullptr || address == nullptr || !module->is_string() || !address->is_string())
      return bad;
    boost::system::error_code bad_id, bad_port;
    ListeningSocket socket;
    socket.id = id->to_number<std::uint32_t>(bad_id);
    socket.port = port->to_number<std::uint16_t>(bad_port);
    const auto named = module_named(module->get_string());
    if (bad_id || bad_port || !named) return bad;
    socket.module = *named;
    socket.row_address = address->get_string();
    socket.socket = std::move(order.descriptors[next++].second);
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

Result<void> answer_image(const Start& start, int image, std::uint64_t number) {
  return net::send_order(start.control.get(), {{"order", "image"}, {"number", number}}, {{"image", image}});
}

Result<void> answer_refusal(const Start& start, std::string_view why) {
  return net::send_order(start.control.get(), {{"order", "refused"}, {"why", why.substr(0, 1000)}});
}

struct ControlLink::State : std::enable_shared_from_this<ControlLink::State> {
  State(net::asio::io_context& context, Start& start)
      : io(context), socket(context, start.control.release()), configuration(start.configuration) {}

  void listen();
  void read_all();
  // False: the link must end.
  bool obey(net::Order& order);
  void report(boost::json::object body);
  void end();
  template <class... Arguments>
  static void call(const std::vector<std::function<void(Arguments...)>>& handlers, const std::type_identity_t<Arguments>&... arguments) {
    for (const auto& handler : handlers) handler(arguments...);
  }

  net::asio::io_context& io;
  net::asio::posix::stream_descriptor socket;
  std::shared_ptr<const conf::Configuration> configuration;
  std::string program;  // as the log shows it
  bool ended = false;
  std::vector<std::function<void(std::chrono::milliseconds)>> finish;
  std::vector<std::function<void()>> master_gone, rescan;
  std::vector<std::function<void(base::Descriptor)>> tables, certificates;
  std::vector<std::function<void(std::shared_ptr<const conf::Configuration>)>> reconfigured;
  std::vector<std::function<void(ListeningSocket)>> socket_added;
  std::vector<std::function<void(std::uint32_t, std::shared_ptr<void>)>> socket_removed;
};

void ControlLink::State::listen() {
  socket.async_wait(net::asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->ended) return;
    self->read_all();
    if (!self->ended) self->listen();
  });
}

void ControlLink::State::read_all() {
  while (!ended) {
    auto order = net::receive_order(socket.native_handle());
    if (!order && order.error().kind == Kind::not_found) return;
    if (!order) {
      base::log_event(base::Severity::error, "control-link-broken", {{"error", order.error().what}});
      return end();
    }
    if (order->end) return end();
    if (!obey(*order)) {
      base::log_event(base::Severity::error, "control-link-broken", {{"error", "unexpected order"}, {"order", order->name()}});
      return end();
    }
  }
}

bool ControlLink::State::obey(net::Order& order) {
  const std::string_view name = order.name();
  if (name == "finish") {
    const auto grace = order.number("grace");
    if (!grace) return false;
    if (finish.empty()) io.stop();
    call(finish, std::chrono::milliseconds(*grace));
  } else if (name == "rescan") {
    call(rescan);
  } else if (name == "log") {
    use_log_file(order.take("log"));
    base::configure_log(configuration->log.destination, program, configuration->log.least);
  } else if (name == "tables" || name == "certificates") {
    const base::Descriptor file = order.take(name);
    if (!file.valid() || !base::is_sealed(file.get())) return false;
    for (const auto& handler : name == "tables" ? tables : certificates)
      if (auto copy = file.duplicate(); copy) handler(std::move(*copy));
  } else if (name == "configuration") {
    const base::Descriptor file = order.take("configuration");
    if (!file.valid()) return false;
    auto read = read_configuration(file.get());
    if (!read) {
      base::log_event(base::Severity::error, "configuration-not-taken", {{"error", read.error().what}});
      return false;
    }
    configuration = std::move(*read);
    use_log_file(order.take("log"));
    base::configure_log(configuration->log.destination, program, configuration->log.least);
    call(reconfigured, configuration);
  } else if (name == "sockets") {
    auto sockets = sockets_in(order);
    if (!sockets) return false;
    for (auto& added : *sockets)
      if (!socket_added.empty()) socket_added.front()(std::move(added));
  } else if (name == "remove") {
    const auto* const ids = order.body.if_contains("ids");
    if (ids == nullptr || !ids->is_array()) return false;
    std::vector<std::uint32_t> numbers;
    for (const auto& id : ids->get_array()) {
      boost::system::error_code error;
      numbers.push_back(id.to_number<std::uint32_t>(error));
      if (error) return false;
    }
    const std::shared_ptr<void> under_way(nullptr, [weak = weak_from_this(), sequence = order.number("sequence")](std::nullptr_t) {
      if (const auto self = weak.lock(); self && sequence) self->report({{"order", "done"}, {"sequence", *sequence}});
    });
    for (const std::uint32_t number : numbers) call(socket_removed, number, under_way);
    return true;
  } else {
    return false;
  }
  if (const auto sequence = order.number("sequence")) report({{"order", "done"}, {"sequence", *sequence}});
  return true;
}

void ControlLink::State::report(boost::json::object body) {
  if (ended) return;
  if (auto sent = net::send_order(socket.native_handle(), std::move(body)); !sent)
    base::log_event(base::Severity::warning, "control-link-broken", {{"error", sent.error().what}});
}

void ControlLink::State::end() {
  ended = true;
  boost::system::error_code ignored;
  socket.close(ignored);
  if (master_gone.empty()) io.stop();
  call(master_gone);
}

ControlLink::ControlLink(net::asio::io_context& io, Start& start) : state_(std::make_shared<State>(io, start)) {
  state_->program = "posternd/" + start.role;
  // A stopped master must not stop its children when they report.
  [[maybe_unused]] auto set = base::set_nonblocking(state_->socket.native_handle(), true);
  state_->listen();
}

ControlLink::~ControlLink() {
  state_->ended = true;
  boost::system::error_code ignored;
  state_->socket.close(ignored);
}

void ControlLink::on_finish(std::function<void(std::chrono::milliseconds)> handler) { state_->finish.push_back(std::move(handler)); }
void ControlLink::on_master_gone(std::function<void()> handler) { state_->master_gone.push_back(std::move(handler)); }
void ControlLink::on_rescan(std::function<void()> handler) { state_->rescan.push_back(std::move(handler)); }
void ControlLink::on_tables(std::function<void(base::Descriptor)> handler) { state_->tables.push_back(std::move(handler)); }
void ControlLink::on_certificates(std::function<void(base::Descriptor)> handler) { state_->certificates.push_back(std::move(handler)); }
void ControlLink::on_configuration(std::function<void(std::shared_ptr<const conf::Configuration>)> handler) {
  state_->reconfigured.push_back(std::move(handler));
}
void ControlLink::on_socket_added(std::function<void(ListeningSocket)> handler) { state_->socket_added.push_back(std::move(handler)); }
void ControlLink::on_socket_removed(std::function<void(std::uint32_t, std::shared_ptr<void>)> handler) { state_->socket_removed.push_back(std::move(handler)); }

void ControlLink::ready() { state_->report({{"order", "ready"}}); }
void ControlLink::ask_replacement(std::string_view why) { state_->report({{"order", "replace"}, {"why", why}}); }
const std::shared_ptr<const conf::Configuration>& ControlLink::configuration() const { return state_->configuration; }

}  // namespace postern::service
