// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include "net/frames.h"
#include "net/stream.h"
#include "net/tls_session.h"
#include "run_coroutine.h"
#include "../tls_client.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <poll.h>
#include <unistd.h>

using namespace postern;
using namespace std::chrono_literals;
using net::TlsSession;
using Contexts = std::shared_ptr<const net::TlsContexts>;

namespace {

Contexts contexts_of(const net::TlsMaterial& material) {
  auto made = net::TlsContexts::from(material);
  CPPUNIT_ASSERT_MESSAGE(made ? "" : made.error().what, made.has_value());
  return *made;
}

net::Address address(const std::string& text) { return *net::Address::parse(text); }

struct Pipe {
  Pipe() {
    auto made = base::socket_pair(SOCK_STREAM);
    server = std::move(made->first);
    client = std::move(made->second);
    for (const int end : {server.get(), client.get()}) CPPUNIT_ASSERT(base::set_nonblocking(end, true).has_value());
  }
  base::Descriptor server, client;
};

// A handshake between both ends.
struct Connection {
  Connection(const Contexts& contexts, const std::string& local, const std::string& server_name = {}, const std::string& listener = "smtp",
             int version = TLS1_3_VERSION, const std::string& hint = {}, SSL_SESSION* resume = nullptr)
      : client(pipe.client.get(), server_name, version) {
    if (resume != nullptr) SSL_set_session(client.ssl(), resume);
    auto begun = TlsSession::begin(contexts, listener, address(local), hint, pipe.server.get());
    if (!begun) {
      why = begun.error();
      return;
    }
    server = std::move(*begun);
  }
  void shake() {
    bool client_done = false;
    for (int round = 0; server && round < 20 && !(client_done && step == TlsSession::Step::done); ++round) {
      if (!client_done) client_done = client.step();
      if (step == TlsSession::Step::want_read) step = server->handshake();
      if (step == TlsSession::Step::failed || step == TlsSession::Step::no_certificate) {
        why = server->error();
        break;
      }
    }
    if (client_done) client.read();  // the tickets
  }
  [[nodiscard]] bool made() const { return step == TlsSession::Step::done; }
  // What the server has sent that nobody has read.
  [[nodiscard]] bool silent() const {
    pollfd waiting{pipe.client.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 0;
  }

  Pipe pipe;
  TlsClient client;
  std::unique_ptr<TlsSession> server;
  TlsSession::Step step = TlsSession::Step::want_read;
  Error why{Kind::temporary, ""};
};

}  // namespace

class TlsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(TlsTest);
  CPPUNIT_TEST(the_certificate_is_chosen_by_name_then_by_address_case_57);
  CPPUNIT_TEST(without_a_certificate_not_one_byte_is_sent_case_56);
  CPPUNIT_TEST(on_request_nobody_is_closed);
  CPPUNIT_TEST(what_is_not_valid_gives_way);
  CPPUNIT_TEST(ecdsa_and_rsa_stand_side_by_side);
  CPPUNIT_TEST(only_tls_1_2_and_1_3);
  CPPUNIT_TEST(a_ticket_is_good_at_its_own_listener_only);
  CPPUNIT_TEST(a_ticket_of_another_domain_is_worth_nothing);
  CPPUNIT_TEST(tickets_of_yesterdays_secret_are_taken_and_renewed);
  CPPUNIT_TEST(the_material_survives_its_memory_file);
  CPPUNIT_TEST(no_renegotiation_by_the_client);
  CPPUNIT_TEST(client_certificates_give_a_subject_only_when_verified);
  CPPUNIT_TEST(a_stream_speaks_tls_in_both_directions);
  CPPUNIT_TEST(large_texts_pass_through_a_full_socket);
  CPPUNIT_TEST(what_follows_a_key_update_is_read);
  CPPUNIT_TEST(a_cut_connection_ends_the_stream);
  CPPUNIT_TEST(nothing_buffered_in_clear_text_survives_case_59);
  CPPUNIT_TEST(garbage_instead_of_a_handshake_fails_with_a_reason);
  CPPUNIT_TEST(a_stream_aborted_in_its_handshake_returns);
  CPPUNIT_TEST(the_end_of_a_stream_is_said);
  CPPUNIT_TEST(our_own_connections_look_at_the_certificate);
  CPPUNIT_TEST(tlsa_records_stand_in_for_authorities);
  CPPUNIT_TEST_SUITE_END();

  static net::TlsMaterial three_domains() {
    auto material = material_with({domain_of({"mail.a.example", "a.example"}, {"192.0.2.1"}, {pair_for("cert-a")}),
                                   domain_of({"b.example"}, {"192.0.2.2", "2001:db8::2"}, {pair_for("cert-b")}),
                                   domain_of({"none.example"}, {"192.0.2.3"}, {}),
                                   domain_of({"wild.example"}, {}, {pair_for("*.w.example")})});
    return material;
  }

  void the_certificate_is_chosen_by_name_then_by_address_case_57() {
    const Contexts contexts = contexts_of(three_domains());
    const struct { std::string local, server_name, hint, want; } rows[] = {
        {"192.0.2.1", "b.example", "", "cert-b"},            // case 57
        {"192.0.2.1", "", "", "cert-a"},
        {"192.0.2.2", "", "", "cert-b"},
        {"2001:db8::2", "", "", "cert-b"},
        {"192.0.2.2", "unknown.example", "", "cert-b"},      // never an error
        {"192.0.2.2", "MAIL.A.example", "", "cert-a"},
        {"192.0.2.2", "mail.a.example.", "", "cert-a"},
        {"192.0.2.2", "a.example", "", "cert-a"},            // an alias
        {"192.0.2.9", "", "", "cert-a"},                     // of no domain: the main one
        {"192.0.2.9", "b.example", "", "cert-b"},
        {"192.0.2.1", "x.w.example", "", "*.w.example"},
        {"192.0.2.1", "X.W.Example.", "", "*.w.example"},
        {"192.0.2.1", "x.y.w.example", "", "cert-a"},        // two labels
        {"192.0.2.1", "w.example", "", "cert-a"},            // none
        {"192.0.2.2", "none.example", "", "cert-b"},         // that domain has no certificate
        {"192.0.2.3", "b.example", "", "cert-b"},            // that address's domain has none, the name's has
        {"192.0.2.1", "", "b.example", "cert-b"},            // AUTHORITY of a PROXY header
        {"192.0.2.2", "a.example", "b.example", "cert-a"},   // counts only without SNI
        {"192.0.2.1", "127.0.0.1", "", "cert-a"},
        {"192.0.2.1", "a..b", "", "cert-a"},
    };
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
      for (const auto& row : rows) {
        Connection connection(contexts, row.local, row.server_name, "smtp", version, row.hint);
        connection.shake();
        CPPUNIT_ASSERT_MESSAGE(row.local + " " + row.server_name + ": " + connection.why.what, connection.made());
        CPPUNIT_ASSERT_EQUAL_MESSAGE(row.local + " " + row.server_name + " " + row.hint, row.want, connection.client.certificate_name());
      }
  }

  void without_a_certificate_not_one_byte_is_sent_case_56() {
    const Contexts contexts = contexts_of(three_domains());
    for (const std::string name : {"", "none.example", "unknown.example"}) {
      Connection connection(contexts, "192.0.2.3", name);
      connection.shake();
      CPPUNIT_ASSERT(connection.step == TlsSession::Step::no_certificate);
      CPPUNIT_ASSERT(connection.why.kind == Kind::not_found);
      CPPUNIT_ASSERT(connection.why.what.find("192.0.2.3") != std::string::npos);
      CPPUNIT_ASSERT_MESSAGE(name, connection.silent());
    }
    // Not even an alert for what is no ClientHello.
    Connection garbage(contexts, "192.0.2.3");
    // A record that holds a ServerHello.
    CPPUNIT_ASSERT_EQUAL(ssize_t{10}, ::write(garbage.pipe.client.get(), "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", 10));
    CPPUNIT_ASSERT(garbage.server->handshake() == TlsSession::Step::failed);
    CPPUNIT_ASSERT(garbage.silent());
    // Without any certificate nothing is even read.
    const Contexts none = contexts_of(material_with({domain_of({"none.example"}, {}, {})}));
    const Connection nothing(none, "192.0.2.3");
    CPPUNIT_ASSERT(!nothing.server && nothing.why.kind == Kind::not_found);
    CPPUNIT_ASSERT(!Connection(std::make_shared<const net::TlsContexts>(), "192.0.2.3").server);
  }

  void on_request_nobody_is_closed() {
    const Contexts contexts = contexts_of(three_domains())->on_request();
    CPPUNIT_ASSERT(contexts);
    const struct { std::string local, server_name, want; } rows[] = {
        {"192.0.2.3", "", "cert-a"},            // its domain has none
        {"192.0.2.3", "unknown.example", "cert-a"},
        {"192.0.2.3", "none.example", "cert-a"},
        {"192.0.2.3", "b.example", "cert-b"},
        {"192.0.2.2", "", "cert-b"},            // as ever
        {"192.0.2.9", "", "cert-a"}};
    for (const auto& row : rows) {
      Connection connection(contexts, row.local, row.server_name);
      connection.shake();
      CPPUNIT_ASSERT_MESSAGE(row.local + " " + row.server_name + ": " + connection.why.what, connection.made());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.local + " " + row.server_name, row.want, connection.client.certificate_name());
    }
    // The main domain has none: the first that has one.
    auto material = three_domains();
    material.main_domain = 2;
    Connection connection(contexts_of(material)->on_request(), "192.0.2.9");
    connection.shake();
    CPPUNIT_ASSERT_EQUAL(std::string("cert-a"), connection.client.certificate_name());
    // Without any certificate STARTTLS is not offered.
    CPPUNIT_ASSERT(!std::make_shared<const net::TlsContexts>()->on_request());
    CPPUNIT_ASSERT(!contexts_of(material_with({domain_of({"none.example"}, {}, {})}))->on_request());
  }

  void what_is_not_valid_gives_way() {
    const auto no_more = [](net::TlsMaterial::Pair pair) {
      pair.valid = false;
      return pair;
    };
    const auto chosen = [](const net::TlsMaterial& material, const std::string& name) {
      Connection connection(contexts_of(material), "192.0.2.9", name);
      connection.shake();
      CPPUNIT_ASSERT_MESSAGE(connection.why.what, connection.made());
      return connection.client.certificate_name();
    };
    // Of two certificates for one wildcard name, and of several kinds of keys.
    const auto bad = no_more({made_certificate("*.w.example").certificate, made_certificate("*.w.example").key, {}, 0, true});
    const auto& other = made_certificate("*.w.example", true);
    auto material = material_with({domain_of({"a.example"}, {}, {bad}), domain_of({"b.example"}, {}, {{other.certificate, other.key, {}, 0, true}})});
    Connection connection(contexts_of(material), "192.0.2.9", "x.w.example");
    connection.shake();
    CPPUNIT_ASSERT(connection.made());
    CPPUNIT_ASSERT_EQUAL(EVP_PKEY_RSA, EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(connection.client.ssl()))));
    // A served name with a certificate that is not valid, and a wildcard that covers it.
    const auto wildcard = pair_for("*.w.example");
    material = material_with({domain_of({"own.w.example"}, {}, {no_more(pair_for("own.w.example"))}), domain_of({"w.example"}, {}, {wildcard})});
    CPPUNIT_ASSERT_EQUAL(std::string("*.w.example"), chosen(material, "own.w.example"));
    // Neither is: its own.
    material = material_with({domain_of({"own.w.example"}, {}, {no_more(pair_for("own.w.example"))}), domain_of({"w.example"}, {}, {no_more(wildcard)})});
    CPPUNIT_ASSERT_EQUAL(std::string("own.w.example"), chosen(material, "own.w.example"));
    material.domains[0].pairs[0].valid = true;
    CPPUNIT_ASSERT_EQUAL(std::string("own.w.example"), chosen(material, "own.w.example"));
  }

  void ecdsa_and_rsa_stand_side_by_side() {
    const Contexts contexts = contexts_of(material_with({domain_of({"a.example"}, {}, {pair_for("a-ecdsa"), pair_for("a-rsa", true)})}));
    const struct { std::string algorithms, want; } rows[] = {{"ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256", "a-ecdsa"}, {"rsa_pss_rsae_sha256", "a-rsa"}};
    for (const auto& row : rows)
      for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        Connection connection(contexts, "192.0.2.1", "", "smtp", version);
        SSL_set1_sigalgs_list(connection.client.ssl(), row.algorithms.c_str());
        connection.shake();
        CPPUNIT_ASSERT_MESSAGE(connection.why.what, connection.made());
        CPPUNIT_ASSERT_EQUAL(row.want, connection.client.certificate_name());
      }
  }

  void only_tls_1_2_and_1_3() {
    auto material = material_with({domain_of({"a.example"}, {}, {pair_for("cert-a")})});
    const struct { int version; bool only_13, want; } rows[] = {
        {TLS1_VERSION, false, false}, {TLS1_1_VERSION, false, false}, {TLS1_2_VERSION, false, true},
        {TLS1_3_VERSION, false, true}, {TLS1_2_VERSION, true, false}, {TLS1_3_VERSION, true, true}};
    for (const auto& row : rows) {
      material.tls13_only = row.only_13;
      Connection connection(contexts_of(material), "192.0.2.1", "", "smtp", row.version);
      SSL_set_security_level(connection.client.ssl(), 0);
      SSL_set_cipher_list(connection.client.ssl(), "ALL:@SECLEVEL=0");
      connection.shake();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::to_string(row.version), row.want, connection.made());
      if (!row.want) CPPUNIT_ASSERT_EQUAL(std::string("TLS: unsupported protocol"), connection.why.what);
      else CPPUNIT_ASSERT_EQUAL(std::string(row.version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3"), connection.server->facts().protocol);
    }
  }

  // A session of a full handshake.
  static SslSession session_from(const Contexts& contexts, const std::string& listener, int version, const std::string& name = "a.example") {
    Connection first(contexts, "192.0.2.1", name, listener, version);
    first.shake();
    CPPUNIT_ASSERT(first.made() && !first.client.resumed());
    SSL_shutdown(first.client.ssl());
    return first.client.session();
  }
  static bool resumes(const Contexts& contexts, const std::string& listener, int version, const SslSession& session, const std::string& name = "a.example") {
    Connection again(contexts, "192.0.2.1", name, listener, version, {}, session.get());
    again.shake();
    CPPUNIT_ASSERT_MESSAGE(again.why.what, again.made());
    return again.client.resumed();
  }

  void a_ticket_is_good_at_its_own_listener_only() {
    const auto material = material_with({domain_of({"a.example"}, {}, {pair_for("cert-a")})});
    // Two sets, as two children have them.
    const Contexts one = contexts_of(material), other = contexts_of(material);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CPPUNIT_ASSERT(resumes(one, "smtp", version, session_from(one, "smtp", version)));
      CPPUNIT_ASSERT(resumes(other, "smtp", version, session_from(one, "smtp", version)));
      CPPUNIT_ASSERT(!resumes(one, "pop3", version, session_from(one, "smtp", version)));
      CPPUNIT_ASSERT(!resumes(one, "smtp", version, session_from(one, "pop3", version)));
    }
  }

  void a_ticket_of_another_domain_is_worth_nothing() {
    const Contexts contexts = contexts_of(material_with({domain_of({"a.example"}, {}, {pair_for("cert-a")}), domain_of({"b.example"}, {}, {pair_for("cert-b")})}));
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
      CPPUNIT_ASSERT(!resumes(contexts, "smtp", version, session_from(contexts, "smtp", version), "b.example"));
  }

  void tickets_of_yesterdays_secret_are_taken_and_renewed() {
    auto material = material_with({domain_of({"a.example"}, {}, {pair_for("cert-a")})});
    const Contexts first_day = contexts_of(material);
    material.earlier_ticket_secret = material.ticket_secret;
    material.ticket_secret = std::string(net::kTicketSecretBytes, 't');
    const Contexts second_day = contexts_of(material);
    material.earlier_ticket_secret = material.ticket_secret;
    material.ticket_secret = std::string(net::kTicketSecretBytes, 'u');
    const Contexts third_day = contexts_of(material);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CPPUNIT_ASSERT(resumes(second_day, "smtp", version, session_from(first_day, "smtp", version)));
      CPPUNIT_ASSERT(!resumes(third_day, "smtp", version, session_from(first_day, "smtp", version)));
    }
    material.ticket_secret.pop_back();
    CPPUNIT_ASSERT(!net::TlsContexts::from(material));
  }

  void the_material_survives_its_memory_file() {
    auto material = three_domains();
    material.domains[0].pairs[0].ocsp_response = std::string("\x00\xff\x10", 3);
    material.domains[0].pairs[0].ocsp_end = 4'000'000'000;
    material.domains[0].pairs[0].valid = false;
    material.domains[0].pairs[0].place = 3;
    material.ticket_secret_made = std::chrono::steady_clock::time_point(std::chrono::milliseconds(86'400'001));
    material.main_domain = 1;
    material.tls13_only = true;
    material.earlier_ticket_secret = std::string(net::kTicketSecretBytes, 'e');
    material.listeners[1].asks_client_certificate = true;
    auto read = net::TlsMaterial::parse(material.to_text());
    CPPUNIT_ASSERT_MESSAGE(read ? "" : read.error().what, read.has_value());
    CPPUNIT_ASSERT_EQUAL(material.to_text(), read->to_text());
    CPPUNIT_ASSERT(read->domains[1].addresses == material.domains[1].addresses);
    CPPUNIT_ASSERT_EQUAL(material.domains[0].pairs[0].ocsp_response, read->domains[0].pairs[0].ocsp_response);
    CPPUNIT_ASSERT(!read->domains[0].pairs[0].valid);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, read->domains[0].pairs[0].place);
    CPPUNIT_ASSERT(material.ticket_secret_made == read->ticket_secret_made);

    auto file = base::sealed_memory_file("certificates", material.to_text());
    CPPUNIT_ASSERT(net::TlsContexts::load(file->get()).has_value());
    const base::Descriptor unsealed(::memfd_create("x", 0));
    CPPUNIT_ASSERT(!net::TlsContexts::load(unsealed.get()));
    for (const std::string text : {"", "{}", "[]", "{\"format\":2}", "{\"format\":1}"}) CPPUNIT_ASSERT_MESSAGE(text, !net::TlsMaterial::parse(text));
  }

  void no_renegotiation_by_the_client() {
    Connection connection(contexts_of(three_domains()), "192.0.2.1", "", "smtp", TLS1_2_VERSION);
    connection.shake();
    CPPUNIT_ASSERT(connection.made());
    CPPUNIT_ASSERT_EQUAL(1L, SSL_get_secure_renegotiation_support(connection.client.ssl()));
    CPPUNIT_ASSERT_EQUAL(1, SSL_renegotiate(connection.client.ssl()));
    bool again = false;
    char byte = 0;
    for (int round = 0; round < 5; ++round) {
      again = again || SSL_do_handshake(connection.client.ssl()) == 1;
      connection.server->read({&byte, 1});
    }
    CPPUNIT_ASSERT(!again);
  }

  void client_certificates_give_a_subject_only_when_verified() {
    auto material = material_with({domain_of({"a.example"}, {}, {pair_for("cert-a")})});
    material.client_authorities = made_certificate("client.example").certificate;
    material.listeners[0].asks_client_certificate = true;
    const Contexts contexts = contexts_of(material);
    const struct { std::string certificate, listener, want; bool failure; } rows[] = {
        {"client.example", "smtp", "CN=client.example", false},
        {"stranger.example", "smtp", "", true},
        {"", "smtp", "", false},
        {"client.example", "pop3", "", false},  // does not ask
    };
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
      for (const auto& row : rows) {
        Connection connection(contexts, "192.0.2.1", "", row.listener, version);
        if (!row.certificate.empty()) {
          const auto& made = made_certificate(row.certificate);
          SSL_use_certificate(connection.client.ssl(), net::read_certificates(made.certificate)->front().get());
          SSL_use_PrivateKey(connection.client.ssl(), net::read_key(made.key)->get());
        }
        connection.shake();
        CPPUNIT_ASSERT_MESSAGE(row.certificate + ": " + connection.why.what, connection.made());
        CPPUNIT_ASSERT_EQUAL_MESSAGE(row.certificate + ": " + connection.server->facts().peer_failure, row.want, connection.server->facts().peer_subject);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(connection.server->facts().peer_failure, row.failure, !connection.server->facts().peer_failure.empty());
      }
  }

  // ---- SocketStream

  // Lets the client work whenever the loop has nothing else to do, until `done`.
  struct Streams {
    Streams() : limits(io, 10ms), stream(io, std::move(pipe.server), limits), input(stream), timer(io) {
      limits.start();
      stream.set_time_limit(20s);
    }
    void each_moment(std::function<bool()> work) {
      timer.expires_after(1ms);
      timer.async_wait([this, work = std::move(work)](const boost::system::error_code& error) {
        if (!error && !work()) each_moment(work);
      });
    }
    net::Awaitable<Result<void>> shake() { return input.start_tls(contexts_of(three_domains()), "smtp", address("192.0.2.1"), ""); }
    // The client's part of a handshake, then `more` again and again until it returns true.
    void client_does(std::function<bool()> more) {
      each_moment([this, more = std::move(more)] {
        if (!SSL_is_init_finished(client.ssl())) {
          client.step();
          return false;
        }
        return more();
      });
    }
    void stop() {
      limits.stop();
      timer.cancel();
    }

    Pipe pipe;
    net::asio::io_context io;
    net::TimeLimits limits;
    net::SocketStream stream;
    net::Input input;
    net::asio::steady_timer timer;
    TlsClient client{pipe.client.get()};
  };

  void a_stream_speaks_tls_in_both_directions() {
    Streams streams;
    std::string seen;
    streams.client_does([&, sent = false]() mutable {
      if (!sent) streams.client.write("NOOP\r\nQUIT\r\n");
      sent = true;
      seen += streams.client.read();
      return seen == "250 ok\r\n";
    });
    const auto serve = [](Streams& on) -> net::Awaitable<std::string> {
      CPPUNIT_ASSERT(on.stream.tls() == nullptr);
      auto shaken = co_await on.shake();
      if (!shaken) co_return shaken.error().what;
      std::string one, two;
      auto first = co_await on.input.read_line(one, 100);
      auto second = co_await on.input.read_line(two, 100);
      auto written = co_await on.stream.write("250 ok\r\n");
      on.stream.set_time_limit(100ms);
      auto third = co_await on.input.read_line(two, 100);
      CPPUNIT_ASSERT(!third && on.stream.expired());
      on.limits.stop();
      CPPUNIT_ASSERT(first && second && written);
      co_return one + "," + on.stream.tls()->protocol;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("NOOP,TLSv1.3"), run(streams.io, serve(streams)));
    CPPUNIT_ASSERT_EQUAL(std::string("250 ok\r\n"), seen);
  }

  void large_texts_pass_through_a_full_socket() {
    Streams streams;
    const int small = 4096;
    ::setsockopt(streams.stream.native_handle(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    const std::string text(1'000'000, 'x');
    std::size_t seen = 0, sent = 0;
    streams.client_does([&] {
      if (sent < text.size()) {
        const int taken = SSL_write(streams.client.ssl(), text.data(), 16384);
        if (taken > 0) sent += static_cast<std::size_t>(taken);
      }
      for (std::string piece; !(piece = streams.client.read()).empty();) seen += piece.size();
      return seen >= text.size() && sent >= text.size();
    });
    const auto serve = [](Streams& on, const std::string& bytes) -> net::Awaitable<std::size_t> {
      auto shaken = co_await on.shake();
      auto written = co_await on.stream.write(bytes);
      std::size_t got = 0;
      while (shaken && written && got < bytes.size()) {
        auto some = co_await on.input.read_some();
        if (!some || some->empty()) break;
        got += some->size();
        on.input.consume(some->size());
      }
      on.limits.stop();
      co_return got;
    };
    CPPUNIT_ASSERT(run(streams.io, serve(streams, text)) >= text.size());
    CPPUNIT_ASSERT_EQUAL(text.size(), seen);
  }

  void what_follows_a_key_update_is_read() {
    Streams streams;
    streams.client_does([&] {
      for (int i = 0; i < 3; ++i) {
        CPPUNIT_ASSERT_EQUAL(1, SSL_key_update(streams.client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED));
        streams.client.write(i < 2 ? "NO" : "OP\r\n");
      }
      return true;
    });
    const auto serve = [](Streams& on) -> net::Awaitable<std::string> {
      auto shaken = co_await on.shake();
      std::string line;
      auto read = co_await on.input.read_line(line, 100);
      on.limits.stop();
      CPPUNIT_ASSERT(shaken && read);
      co_return line;
    };
    streams.stream.set_time_limit(5s);
    CPPUNIT_ASSERT_EQUAL(std::string("NONOOP"), run(streams.io, serve(streams)));
  }

  void a_cut_connection_ends_the_stream() {
    Streams streams;
    streams.client_does([&] {
      streams.client.write("half a li");
      ::shutdown(streams.pipe.client.get(), SHUT_WR);  // no close_notify
      return true;
    });
    const auto serve = [](Streams& on) -> net::Awaitable<bool> {
      auto shaken = co_await on.shake();
      std::string line;
      auto read = co_await on.input.read_line(line, 100);
      on.limits.stop();
      co_return shaken && read && *read == net::Input::Line::end;
    };
    CPPUNIT_ASSERT(run(streams.io, serve(streams)));
  }

  void nothing_buffered_in_clear_text_survives_case_59() {
    Streams streams;
    CPPUNIT_ASSERT_EQUAL(ssize_t{16}, ::write(streams.pipe.client.get(), "STARTTLS\r\nNOOP\r\n", 16));
    streams.client_does([&] {
      streams.client.write("HELP\r\n");
      return true;
    });
    const auto serve = [](Streams& on) -> net::Awaitable<std::string> {
      std::string line;
      auto first = co_await on.input.read_line(line, 100);
      CPPUNIT_ASSERT_EQUAL(std::string("STARTTLS"), line);
      CPPUNIT_ASSERT(on.input.has_buffered());
      auto shaken = co_await on.shake();
      CPPUNIT_ASSERT(first && shaken);
      auto second = co_await on.input.read_line(line, 100);
      on.limits.stop();
      CPPUNIT_ASSERT(second.has_value());
      co_return line;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("HELP"), run(streams.io, serve(streams)));
  }

  void garbage_instead_of_a_handshake_fails_with_a_reason() {
    Streams streams;
    CPPUNIT_ASSERT_EQUAL(ssize_t{14}, ::write(streams.pipe.client.get(), "EHLO example\r\n", 14));
    const auto serve = [](Streams& on) -> net::Awaitable<std::string> {
      auto shaken = co_await on.shake();
      on.limits.stop();
      CPPUNIT_ASSERT(!shaken && shaken.error().kind == Kind::permanent && on.stream.tls() == nullptr);
      // Never in clear text after that.
      auto written = co_await on.stream.write("500 what?\r\n");
      char byte = 0;
      CPPUNIT_ASSERT(!written && !on.stream.try_read({&byte, 1}));
      co_return shaken.error().what;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("TLS: wrong version number"), run(streams.io, serve(streams)));
  }

  void a_stream_aborted_in_its_handshake_returns() {
    Streams streams;
    streams.each_moment([&] {
      streams.stream.abort();
      return true;
    });
    const auto serve = [](Streams& on) -> net::Awaitable<bool> {
      auto shaken = co_await on.shake();
      on.limits.stop();
      co_return !shaken && shaken.error().kind == Kind::temporary;
    };
    CPPUNIT_ASSERT(run(streams.io, serve(streams)));
  }

  void the_end_of_a_stream_is_said() {
    Streams streams;
    int error = 0;
    streams.client_does([&] {
      char byte = 0;
      error = SSL_get_error(streams.client.ssl(), SSL_read(streams.client.ssl(), &byte, 1));
      if (error != SSL_ERROR_ZERO_RETURN) return false;
      ::shutdown(streams.pipe.client.get(), SHUT_WR);
      return true;
    });
    const auto serve = [](Streams& on) -> net::Awaitable<bool> {
      auto shaken = co_await on.shake();
      co_await on.stream.linger(5s, 65536);
      on.limits.stop();
      co_return shaken.has_value();
    };
    CPPUNIT_ASSERT(run(streams.io, serve(streams)));
    CPPUNIT_ASSERT_EQUAL(SSL_ERROR_ZERO_RETURN, error);
  }

  void our_own_connections_look_at_the_certificate() {
    const auto contexts = contexts_of(material_with({domain_of({"mail.example.com"}, {}, {pair_for("mail.example.com")})}));
    char path[] = "/tmp/postern_authorities.XXXXXX";
    const base::Descriptor file(::mkstemp(path));
    const std::string& trusted = made_certificate("mail.example.com").certificate;
    CPPUNIT_ASSERT(::write(file.get(), trusted.data(), trusted.size()) == static_cast<ssize_t>(trusted.size()));
    auto client = net::TlsClient::make(path, "ECDHE+AESGCM");
    auto system = net::TlsClient::make("", "ECDHE+AESGCM");
    ::unlink(path);
    CPPUNIT_ASSERT(client.has_value() && system.has_value());
    CPPUNIT_ASSERT(!net::TlsClient::make("/nonexistent", "ECDHE+AESGCM").has_value());
    struct {
      const char* what;
      bool trusting;
      net::TlsServer server;
      bool made;
      bool good;  // the certificate
    } rows[] = {{"trusted", true, {"mail.example.com", true}, true, true},
                {"another name", true, {"other.example.com", true}, false, false},
                {"another name, not asked", true, {"other.example.com", false}, true, false},
                {"an address", true, {"192.0.2.1", true}, false, false},
                {"unknown authority", false, {"mail.example.com", true}, false, false},
                {"unknown authority, not asked", false, {"mail.example.com", false}, true, false}};
    for (const auto& row : rows) {
      Pipe pipe;
      auto server = TlsSession::begin(contexts, "smtp", address("192.0.2.1"), "", pipe.server.get());
      auto ours = TlsSession::begin(row.trusting ? **client : **system, row.server, pipe.client.get());
      CPPUNIT_ASSERT_MESSAGE(row.what, server.has_value() && ours.has_value());
      auto step = TlsSession::Step::want_read;
      for (int round = 0; round < 20 && step == TlsSession::Step::want_read; ++round) {
        step = (*ours)->handshake();
        [[maybe_unused]] const auto other = (*server)->handshake();
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, row.made, step == TlsSession::Step::done);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, row.good, (*ours)->facts().peer_fault == net::CertificateFault::none);
      if (row.made) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, row.good, (*ours)->facts().peer_failure.empty());
      else CPPUNIT_ASSERT_MESSAGE((*ours)->error().what, (*ours)->error().kind == Kind::denied);
    }
  }

  // RFC 7672 section 3.1: the key counts, neither the name in the certificate nor its authority.
  void tlsa_records_stand_in_for_authorities() {
    const auto contexts = contexts_of(material_with({domain_of({"mail.example.com"}, {}, {pair_for("mail.example.com")})}));
    const auto client = net::TlsClient::make("", "ECDHE+AESGCM").value();
    const std::string digest = net::from_hex(net::describe_certificate(made_certificate("mail.example.com").certificate)->tlsa.substr(6)).value();
    const std::string other(digest.rbegin(), digest.rend());
    const net::TlsaRecord right{3, 1, 1, digest}, wrong{3, 1, 1, other}, whole_certificate{3, 0, 1, digest}, authority{2, 1, 1, digest};
    struct {
      const char* what;
      std::vector<net::TlsaRecord> tlsa;
      net::CertificateFault fault;
    } rows[] = {{"the key", {right}, net::CertificateFault::none},
                {"one of two", {wrong, right}, net::CertificateFault::none},
                {"another key", {wrong}, net::CertificateFault::untrusted},
                {"the digest of the key, for the certificate", {whole_certificate}, net::CertificateFault::untrusted},
                {"no authority signed it", {authority}, net::CertificateFault::untrusted}};
    for (const auto& row : rows) {
      Pipe pipe;
      auto server = TlsSession::begin(contexts, "smtp", address("192.0.2.1"), "", pipe.server.get());
      net::TlsServer wanted{"mx.example.net"};
      wanted.tlsa = row.tlsa;
      wanted.other_names = {"example.net"};
      auto ours = TlsSession::begin(*client, wanted, pipe.client.get());
      CPPUNIT_ASSERT_MESSAGE(row.what, server.has_value() && ours.has_value());
      auto step = TlsSession::Step::want_read;
      for (int round = 0; round < 20 && step == TlsSession::Step::want_read; ++round) {
        step = (*ours)->handshake();
        [[maybe_unused]] const auto also = (*server)->handshake();
      }
      CPPUNIT_ASSERT_MESSAGE(row.what, step == TlsSession::Step::done);
      CPPUNIT_ASSERT_MESSAGE(row.what + (": " + (*ours)->facts().peer_failure), row.fault == (*ours)->facts().peer_fault);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, std::string("mx.example.net"), (*server)->facts().server_name);
    }
    const std::vector<net::TlsaRecord> unusable{{0, 0, 1, digest}, {1, 1, 1, digest},       {3, 2, 1, digest}, {3, 1, 3, digest}, {4, 1, 1, digest},
                                                {3, 1, 1, "short"}, {3, 1, 2, digest}, {3, 0, 0, "no certificate"}, {2, 1, 0, "no key"}};
    for (const auto& record : unusable) CPPUNIT_ASSERT_MESSAGE(record.kind(), client->usable({record}).empty());
    CPPUNIT_ASSERT(client->usable({unusable.front(), right, authority}) == (std::vector<net::TlsaRecord>{right, authority}));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TlsTest);
