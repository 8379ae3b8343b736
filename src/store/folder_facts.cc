// SPDX-License-Identifier: Apache-2.0
#include "store/folder_facts.h"

#include "base/crc32c.h"
#include "base/random.h"
#include "base/text.h"
#include "base/utf8.h"
#include "store/maildir.h"
#include "store/names.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace postern::store {
namespace {

// "postern-folder 1", then "id ID", "use USE", "note ENTRY VALUE" with the value in hexadecimal, at last "end check-sum".
constexpr std::string_view kFirstLine = "postern-folder 1\n";
constexpr std::string_view kEnd = "end ";
constexpr const char* kName = "postern-folder";
constexpr std::size_t kMostBytes = 64 * 1024, kMostFolders = 1000, kMostNames = 100'000;

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view text) {
  const auto digit = [](char c) { return base::is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

bool is_word(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) { return base::is_control(c) || c == ' '; });
}

// What stands between '&' and '-' (RFC 3501 section 5.1.3); false if it can't be read.
bool append_unshifted(std::string& out, std::string_view digits) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
  std::uint32_t bits = 0;
  int count = 0;
  char32_t high = 0;
  for (const char c : digits) {
    const auto value = kDigits.find(c);
    if (value == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 16) continue;
    count -= 16;
    const char32_t unit = bits >> count & 0xffff;
    bits &= (1U << count) - 1;
    if (unit >= 0xd800 && unit < 0xdc00) {
      if (high != 0) return false;
      high = unit;
    } else if (unit >= 0xdc00 && unit < 0xe000) {
      if (high == 0) return false;
      base::append_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
      high = 0;
    } else {
      if (high != 0) return false;
      base::append_utf8(out, unit);
    }
  }
  return high == 0 && bits == 0 && count < 6;
}

Result<base::Descriptor> open_folder(int mail_directory, const std::string& account_directory, const std::string& folder) {
  if (!is_account_directory(account_directory)) return Error{Kind::invalid, "bad mailbox directory"};
  auto directory = folder_directory(folder);
  if (!directory) return directory.error();
  return base::open_directory(mail_directory, directory->empty() ? account_directory : account_directory + "/" + *directory);
}

// A file that is not there, or does not read back, says nothing.
FolderFacts facts_in(int directory) {
  const auto text = base::read_file(directory, kName, kMostBytes);
  auto facts = text ? parse_folder_facts(*text) : Result<FolderFacts>(FolderFacts());
  return facts ? std::move(*facts) : FolderFacts();
}

}  // namespace

std::string new_folder_id() {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuv";
  std::string id;
  for (std::uint64_t bits = base::random_u64(); id.size() < 12; bits >>= 5) id += kDigits[bits & 31];
  for (std::uint64_t bits = base::random_u64(); id.size() < 16; bits >>= 5) id += kDigits[bits & 31];
  return id;
}

Result<std::string> folder_of_directory(std::string_view directory) {
  const auto bad = [&] { return Error{Kind::invalid, "\"" + base::printable(directory, 100) + "\" is no folder's directory"}; };
  if (directory.size() < 2 || directory.front() != '.') return bad();
  std::string name;
  for (const std::string_view level : base::split(directory.substr(1), '.')) {
    if (!name.empty()) name += '/';
    for (std::size_t i = 0; i < level.size(); ++i) {
      if (level[i] != '&') {
        name += level[i];
        continue;
      }
      const auto end = level.find('-', i);
      if (end == std::string_view::npos) return bad();
      if (end == i + 1) name += '&';
      else if (!append_unshifted(name, level.substr(i + 1, end - i - 1))) return bad();
      i = end;
    }
  }
  // Only what is written as we write it leads back to the same directory.
  const auto again = folder_directory(name);
  if (!again || *again != directory) return bad();
  return name;
}

Result<FolderFacts> parse_folder_facts(std::string_view text) {
  const Error bad{Kind::corrupt, "postern-folder does not read back"};
  const auto end = text.rfind(kEnd);
  if (!text.starts_with(kFirstLine) || end == std::string_view::npos || !text.ends_with('\n')) return bad;
  const auto sum = base::number_from<std::uint32_t>(text.substr(end + kEnd.size(), text.size() - end - kEnd.size() - 1));
  if (!sum || *sum != base::crc32c(text.substr(0, end))) return bad;
  FolderFacts facts;
  for (const std::string_view line : base::split(text.substr(kFirstLine.size(), end - kFirstLine.size()), '\n')) {
    if (line.empty()) continue;
    const auto words = base::split(line, ' ');
    if (words.size() == 2 && words[0] == "id") {
      facts.id = words[1];
    } else if (words.size() == 2 && words[0] == "use") {
      facts.uses.emplace_back(words[1]);
    } else if (words.size() == 3 && words[0] == "note") {
      auto value = from_hex(words[2]);
      if (!value) return bad;
      facts.annotations.emplace(words[1], std::move(*value));
    } else {
      return bad;
    }
  }
  return facts;
}

std::string format_folder_facts(const FolderFacts& facts) {
  std::string text(kFirstLine);
  if (is_word(facts.id)) text += "id " + facts.id + "\n";
  for (const std::string& use : facts.uses)
    if (is_word(use)) text += "use " + use + "\n";
  for (const auto& [entry, value] : facts.annotations)
    if (is_word(entry)) text += "note " + entry + " " + to_hex(value) + "\n";
  return text + std::string(kEnd) + std::to_string(base::crc32c(text)) + "\n";
}

Result<std::vector<NamedFolder>> list_folders(int mail_directory, const std::string& account_directory) {
  std::vector<NamedFolder> folders;
  auto account = open_folder(mail_directory, account_directory, "");
  if (!account) {
    if (account.error().kind == Kind::not_found) return folders;
    return account.error();
  }
  auto names = base::list_directory(account->get(), kMostNames);
  if (!names) return names.error();
  std::erase_if(*names, [](const std::string& name) { return !name.starts_with('.'); });
  std::sort(names->begin(), names->end());
  folders.push_back({"INBOX", facts_in(account->get())});
  for (const std::string& name : *names) {
    if (folders.size() >= kMostFolders) break;
    auto folder = folder_of_directory(name);
    auto directory = folder ? base::open_directory(account->get(), name) : Result<base::Descriptor>(folder.error());
    if (directory) folders.push_back({std::move(*folder), facts_in(directory->get())});
  }
  return folders;
}

Result<FolderFacts> read_folder_facts(int mail_directory, const std::string& account_directory, const std::string& folder) {
  auto directory = open_folder(mail_directory, account_directory, folder);
  if (!directory) return directory.error();
  return facts_in(directory->get());
}

Result<void> write_folder_facts(base::Files& files, int mail_directory, const std::string& account_directory, const std::string& folder, const FolderFacts& facts) {
  auto directory = open_folder(mail_directory, account_directory, folder);
  if (!directory) return directory.error();
  const std::string text = format_folder_facts(facts);
  if (text.size() > kMostBytes) return Error{Kind::invalid, "more is noted of a folder than " + std::to_string(kMostBytes) + " bytes"};
  return base::replace_file(files, directory->get(), kName, text);
}

}  // namespace postern::store
