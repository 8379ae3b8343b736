// SPDX-License-Identifier: Apache-2.0
#pragma once
// The account database as text that people can read, change and make (postern-directory(5)).
//
// A head line with the version, then records: a line "domain NAME", "account NAME", "alias NAME" or "group NAME", and under it indented
// fields, one a line. Texts of several lines stand below their field, each line behind a mark that says how it ends: "|" with LF, ">" with
// CRLF, "=" not at all. So every text comes back byte by byte, without escapes. A file whose head line ends with CRLF
// has come through a program that changes line ends: the CR of every line is taken away.
//
// Password hashes are in it, and the private halves of the keys that sign mail: a dump is as secret as the database, and all that a new host needs.
//
// Failure: a reader notes every mistake with line and field and goes on, up to kMostMistakes; a record with a mistake is not given on.
// Limits: those of records (directory/record.h); a line is at most kMaxDumpLine bytes.
#include "directory/database.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::directory {

inline constexpr std::string_view kDumpHead = "postern-directory 1";
inline constexpr std::size_t kMaxDumpLine = kMaxFilterBytes + 1024;
inline constexpr std::size_t kMostMistakes = 100;

// One record, with a line end behind its last line.
std::string dump_text(const Database::Entry& entry);

// "user@example.com", of whatever the entry is of.
const std::string& name_of(const Database::Entry& entry);

struct DumpMistake {
  std::uint64_t line = 0;
  std::string record;  // "account ann@example.com"; empty: outside of records
  std::string field;   // "quota"; empty: the record as a whole
  std::string text;
  [[nodiscard]] std::string to_string() const;  // "12: account ann@example.com: quota: …"
};

class DumpReader {
 public:
  // Called for each whole record without a mistake; times that are not in it are zero. `line` is that of
  // its name.
  using Found = std::function<void(Database::Entry entry, std::uint64_t line)>;
  // Without `head`, the first line is a record already.
  explicit DumpReader(Found found, bool head = true);

  // The next line without its LF.
  void read(std::string_view line);
  // Everything was read.
  void end();

  [[nodiscard]] const std::vector<DumpMistake>& mistakes() const { return mistakes_; }
  [[nodiscard]] std::uint64_t lines() const { return line_; }
  // What went wrong beyond the reader, at the line of a record.
  void mistake(std::uint64_t line, std::string record, std::string field, std::string text);

 private:
  void begin_record(std::string_view kind, std::string_view name);
  void finish_record();
  void field(std::string_view key, std::string_view value);
  void account_field(std::string_view key, std::string_view value);
  void domain_field(std::string_view key, std::string_view value);
  void attribute(std::string_view key, std::string_view value);
  void signing_key(std::string_view key, std::string_view value);
  void alias_field(std::string_view key, std::string_view value);
  void text_line(char mark, std::string_view text);
  void wrong(std::string_view field, std::string text);
  // Whether the field stands in this record (or script) for the first time; it is a mistake otherwise.
  bool first(std::string_view key);
  void time(std::string_view key, std::string_view value, base::WallTime& into);
  void target(std::string_view key, std::string_view value, std::vector<std::string>& into);

  Found found_;
  bool head_read_;
  bool ends_with_crlf_ = false;  // the head line did; so do all lines, and it is not part of them
  std::uint64_t line_ = 0, record_line_ = 0;
  std::string record_;                       // empty: no record is open
  bool bad_ = false;                         // the open record has a mistake
  Database::Entry entry_;
  std::vector<std::string> seen_;            // fields of the open record
  std::string* text_ = nullptr;              // where text lines go
  bool text_ended_ = false;                  // a "=" line was the last
  std::vector<DumpMistake> mistakes_;
};

}  // namespace postern::directory
