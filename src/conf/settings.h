// SPDX-License-Identifier: Apache-2.0
#pragma once
// The one table of all settings of postern.conf: name, type, default, limits, unit, what a reload does with it, and where
// its value goes. The loader reads by it, the manual page and the shipped example are compared with it by a test.
#include "conf/configuration.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace postern::conf {

enum class Type : std::uint8_t {
  boolean,
  number,
  size,           // bytes: a number, or text such as "50 MiB"
  duration,       // a number in the row's unit, or text such as "30 s"
  text,
  word,           // one of the row's words
  words,          // any of the row's words, as bits in their order
  address_list,   // lines: one text, or a list of texts
  lines,          // a list of texts
  local_address,  // "all" or an address
};

// What a reload does with a changed setting.
enum class Reload : std::uint8_t {
  running,       // running children take it over
  new_children,  // children that start from now on have it; the master replaces the present ones
  restart,       // the reload is refused
};

// A member that is an enumeration, by the position of its value.
struct Choice {
  std::function<void(std::size_t)> set;
  std::function<std::size_t()> get;
};
using Target = std::variant<bool*, unsigned*, std::uint16_t*, unsigned long*, unsigned long long*, std::optional<unsigned>*, char*, std::string*,
                            std::chrono::seconds*, std::chrono::milliseconds*, net::AddressList*, std::vector<TextLine>*, LocalAddress*, Choice>;

// Where values go: a configuration, and within it the listener and the row of it that is being read.
struct Scope {
  Configuration* configuration = nullptr;
  Listener* listener = nullptr;
  SocketRow* row = nullptr;
  LimitRow* limit = nullptr;
  TlsDomain* domain = nullptr;
  TlsCertificate* certificate = nullptr;
  ThrottleTable* throttle = nullptr;
  Milter* milter = nullptr;
};

struct Setting {
  // "smtp.message_bytes"; "listeners.*.idle_time" once for all modules, "throttle.*.quota" for all tables, "milters.*.address" for all milters; "listeners.*.sockets[].port", "listeners.*.limits[].list",
  // "tls.domains[].names" for each row.
  std::string_view name;
  Type type;
  // As one would write it; empty: no value. Modules that differ: "200; lmtp: 100".
  std::string_view fallback;
  std::uint64_t least = 0, most = 0;  // of numbers, sizes (bytes), durations (in the unit), texts (their length)
  std::string_view unit;              // of plain numbers: "s", "ms", "bytes", or what is counted
  std::string_view words;             // of types word and words: "off|on|ext", in the order of the enumeration
  Reload reload = Reload::running;
  Target (*target)(const Scope&) = nullptr;
  bool names_allowed = false;         // address lists: whether #@pattern may stand in it
  bool secret = false;                // its value is never shown, not even in a mistake
};

std::span<const Setting> all_settings();
// True if the setting stands once for the whole server: not in each listener, not in the rows of a list.
bool is_of_server(const Setting& setting);
// What a service over UDP has of a listener's and a row's settings, named without the group: no connections, so no limits and no
// TLS (listeners.md U-1, U-2).
bool is_for_udp(std::string_view name);
// By its name in the table, or nullptr.
const Setting* find_setting(std::string_view name);
// True if some setting's name begins with `group` and a dot.
bool is_group(std::string_view group);
// The setting's default for a module (any, if it does not differ), as text.
std::string_view fallback_for(const Setting& setting, Module module);

// A value as the file has it, with the place of each line of its texts.
struct Value {
  enum class Kind : std::uint8_t { boolean, integer, real, text, texts, other } kind = Kind::other;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::vector<TextLine> lines;  // text: one, or more if it has line ends; texts: all of them
  std::string found;            // for kind `other`: "a group"
};
// The value of a default's text.
Value value_from(const Setting& setting, std::string_view text);

// What the setting takes, for messages: "a number from 1 to 65535".
std::string expected(const Setting& setting);
// The value, for messages: "70000".
std::string found(const Value& value);

// Puts `value` where it belongs. Mistakes are added with the name `shown` and the right place; the target is then unchanged.
// `lists`: for `#name` in address lists.
void assign(const Setting& setting, const Scope& scope, const Value& value, const Place& place, const std::string& shown,
            std::vector<Mistake>& mistakes, const net::AddressList::Resolver& lists);

// The value in force, as text for people: "60 s", "50 MiB", "true", "127.0.0.0/8", "12 lines"; empty: none. A secret is only "set".
std::string text_of(const Setting& setting, const Scope& scope);

// True if the setting has the same value in both.
bool same(const Setting& setting, const Scope& a, const Scope& b);

}  // namespace postern::conf
