// SPDX-License-Identifier: Apache-2.0
#pragma once
// Logins as every protocol has them: the messages of a SASL mechanism in lines, and what follows when the directory has answered.
//
// judge_login() is the one place where it is decided, logged (`login`, `login-failed`) and told to the watch who is let in: whatever service
// asks, LOGIN_ACCESS comes after the correct password and before the login succeeds (access-control.md 2.9), and whoever it refuses gets the
// answer to a wrong password. Failed logins count towards the blocked addresses (listeners.md L-50), but not the same name and password once more
// (beyond.md R7).
#include "directory/directory.h"
#include "net/session_watch.h"
#include "net/stream.h"
#include "policy/access.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace postern::policy {

struct LoginOutcome {
  enum class Kind {
    accepted,
    refused,    // as a wrong password is answered, whatever the reason
    temporary,  // it can't be said now
  } kind = Kind::temporary;
  std::chrono::milliseconds delay{0};                // $D: before the answer
  std::shared_ptr<const directory::Account> account;  // accepted: never empty
  std::string handle;                                // LoginAnswer::handle
};

// LOGIN_ACCESS by the tables in force now: Access::login_access().
using AskLoginAccess = std::function<net::Awaitable<LoginDecision>(LoginFacts)>;

// `login` without its account, which the answer has; `name` is what the client called itself, for the log. `ask` and `watch` must live until
// it returns.
net::Awaitable<LoginOutcome> judge_login(LoginFacts login, std::string name, Result<directory::LoginAnswer> answer, const AskLoginAccess& ask,
                                         net::SessionWatch& watch);
// The same of the last step of an exchange, which is no challenge and not malformed.
net::Awaitable<LoginOutcome> judge_login(LoginFacts login, directory::SaslStep step, const AskLoginAccess& ask, net::SessionWatch& watch);

// The facts of a login in a session with this TLS, which may be null; `secure` without it: a device in front of us does TLS (listeners.md T-10).
LoginFacts login_facts(std::string session, std::string service, net::Address client, const net::TlsFacts* tls, bool secure);

// Longest line of an exchange, without its end: 12288 octets with it (RFC 4954 section 4).
inline constexpr std::size_t kSaslLineBytes = 12286;

// How an exchange in lines came to its end.
struct LineExchange {
  enum class End {
    answered,    // by the directory: `step` is no challenge
    cancelled,   // "*"
    not_base64,
    too_long,    // a line
    early,       // the client said more before it had seen the challenge, or sent a command behind one that must be the last of its group
    closed,      // by the peer
    garbage,     // bare CR, bare LF or NUL: where the next line begins is not certain any more
    lost,        // `error`
  } end = End::lost;
  directory::SaslStep step;
  // Accepted: what SCRAM says last, for say_last_words().
  std::string last_words;
  Error error;
};

// Takes a whole line with its end, sends it at once, and sets the time limit for the answer.
using WriteLine = std::function<net::Awaitable<Result<void>>(std::string)>;

// Carries the messages of `exchange` as RFC 4954 section 4 and RFC 5034 section 4 have it: each in base64, a challenge behind `prompt` ("334 "),
// a response as a line of its own. `initial`: what stood behind the mechanism's name, in base64, "=" for an empty one; nothing: there was none.
net::Awaitable<LineExchange> exchange_lines(directory::SaslExchange& exchange, std::optional<std::string> initial, net::Input& input,
                                            std::string prompt, WriteLine write);

// Sends what the mechanism says last as a challenge, and waits for the empty response to it. To be called when judge_login() has let the client
// in: it shows that the password was right, which nobody else may learn. `answered`: the login is complete. `not_base64`: the
// response was not empty.
net::Awaitable<LineExchange> say_last_words(std::string last_words, net::Input& input, std::string prompt, WriteLine write);

}  // namespace postern::policy
