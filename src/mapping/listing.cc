// SPDX-License-Identifier: Apache-2.0
#include "mapping/listing.h"

#include "base/text.h"
#include "mapping/code.h"

#include <arpa/inet.h>

#include <bit>
#include <charconv>
#include <cstring>

namespace postern::mapping {
namespace {

constexpr std::size_t kSetBytes = 32;
constexpr const char* kCutOff = "…";

// `special`: characters that stand for themselves only behind a dollar sign.
void append_quoted(std::string& out, std::string_view text, std::string_view special) {
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out += '$';
    out += c;
  }
}

char class_letter(CharacterClass character_class) {
  switch (character_class) {
    case CharacterClass::letters: return 'A';
    case CharacterClass::binary: return 'B';
    case CharacterClass::decimal: return 'D';
    case CharacterClass::hexadecimal: return 'H';
    case CharacterClass::octal: return 'O';
    case CharacterClass::symbol: return 'S';
    case CharacterClass::blank: return 'T';
    case CharacterClass::any:
    case CharacterClass::set: break;
  }
  return ' ';
}

// The members between the brackets: runs of three and more as ranges, letters once.
std::string set_text(std::string_view bits) {
  const auto member = [&](unsigned value) {
    const bool in = (static_cast<unsigned char>(bits[value / 8]) >> value % 8 & 1) != 0;
    return in && !(value >= 'A' && value <= 'Z');
  };
  std::string out;
  const auto add = [&](unsigned value) {
    const char c = static_cast<char>(value);
    if (c == '\\' || c == ']' || c == '-') out += '\\';
    out += c;
  };
  for (unsigned value = 0; value < 256; ++value) {
    if (!member(value)) continue;
    unsigned last = value;
    while (last + 1 < 256 && member(last + 1)) ++last;
    if (last - value < 2) {
      add(value);
      continue;
    }
    add(value);
    out += '-';
    add(last);
    value = last;
  }
  return out;
}

std::string address4_text(std::uint32_t address) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += (out.empty() ? "" : ".") + std::to_string(address >> shift & 0xff);
  return out;
}

std::string address6_text(std::string_view bytes) {
  char text[INET6_ADDRSTRLEN];
  return bytes.size() == 16 && ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text) != nullptr ? text : kCutOff;
}

// A block whose mask has its set bits in front, as all have that a pattern can say.
std::string block4_text(std::uint32_t address, std::uint32_t mask) {
  const int bits = std::popcount(mask);
  return "(" + address4_text(address) + (bits == 32 ? "" : "/" + std::to_string(bits)) + ")";
}

std::string argument_text(std::string_view code) {
  CodeReader in(code);
  std::string out;
  while (!in.at_end()) {
    switch (static_cast<TemplateOp>(in.u8())) {
      case TemplateOp::text: append_quoted(out, in.text(), "$ \t"); break;
      case TemplateOp::field: out += "$" + std::to_string(in.u8()); break;
      default: return out + kCutOff;
    }
  }
  return out;
}

std::string call_out_text(CodeReader& in) {
  const std::string name = argument_text(in.text()), routine = argument_text(in.text()), rest = argument_text(in.text());
  const char separator = name == "postern" || name == "socket" ? ':' : ',';
  return "$[" + name + separator + routine + (rest.empty() ? "" : "," + rest) + "]";
}

std::string sequence_text(CodeReader& in) {
  std::string parts[4];
  std::size_t used = 1;
  for (std::size_t i = 0; i < 4; ++i) {
    parts[i] = argument_text(in.text());
    if (!parts[i].empty()) used = i + 1;
  }
  std::string out = "$#";
  for (std::size_t i = 0; i < used; ++i) out += (i == 0 ? "" : "|") + parts[i];
  return out + "#";
}

std::string random_text(std::uint64_t bits) {
  double percent = 0;
  std::memcpy(&percent, &bits, sizeof percent);
  char number[64];
  const auto [end, problem] = std::to_chars(number, number + sizeof number, percent, std::chars_format::fixed);
  return "$?" + (problem == std::errc{} ? std::string(number, end) : std::string(kCutOff)) + "?";
}

}  // namespace

std::string pattern_text(std::string_view code) {
  CodeReader in(code);
  std::string out;
  while (!in.at_end()) {
    std::string item;
    switch (static_cast<PatternOp>(in.u8())) {
      case PatternOp::literal: append_quoted(item, in.text(), "*%$ \t"); break;
      case PatternOp::wildcard: {
        const std::uint8_t bits = in.u8();
        const auto character_class = static_cast<CharacterClass>(in.u8());
        const std::string_view set = character_class == CharacterClass::set ? in.raw(kSetBytes) : std::string_view();
        if (!in.good()) return out + kCutOff;
        if ((bits & WildcardBits::lazy) != 0) item += '_';
        if ((bits & WildcardBits::saved) == 0) item += '@';
        if (!set.empty()) item += "[" + set_text(set) + "]";
        else if (character_class != CharacterClass::any) item += class_letter(character_class);
        if (!item.empty()) item.insert(0, 1, '$');
        item += (bits & WildcardBits::many) != 0 ? '*' : '%';
        break;
      }
      case PatternOp::block4: {
        const bool saved = in.u8() != 0;
        const std::uint32_t address = in.u32(), mask = in.u32();
        item = (saved ? "$" : "$@") + block4_text(address, mask);
        break;
      }
      case PatternOp::block6: {
        const bool saved = in.u8() != 0;
        const std::string address = address6_text(in.raw(16));
        const unsigned bits = in.u8();
        item = (saved ? "${" : "$@{") + address + (bits == 128 ? "" : "/" + std::to_string(bits)) + "}";
        break;
      }
      case PatternOp::back: {
        const bool saved = in.u8() != 0;
        item = (saved ? "$" : "$@") + std::to_string(in.u8()) + "*";
        break;
      }
      default: return out + kCutOff;
    }
    if (!in.good()) return out + kCutOff;
    out += item;
  }
  return out;
}

std::string template_text(std::string_view code) {
  CodeReader in(code);
  std::string out;
  while (!in.at_end()) {
    std::string item;
    const auto letter = [&](const char* before) { item = std::string(before) + static_cast<char>(in.u8()); };
    switch (static_cast<TemplateOp>(in.u8())) {
      case TemplateOp::text: append_quoted(item, in.text(), "$ \t"); break;
      case TemplateOp::field: item = "$" + std::to_string(in.u8()); break;
      case TemplateOp::fold:
      case TemplateOp::control:
      case TemplateOp::flag: letter("$"); break;
      case TemplateOp::ldap: item = "$="; break;
      case TemplateOp::stop: item = "$+1E"; break;
      case TemplateOp::random: item = random_text(in.u64()); break;
      case TemplateOp::if_set: letter("$:"); break;
      case TemplateOp::if_clear: letter("$;"); break;
      case TemplateOp::call: {
        const std::string table = argument_text(in.text());
        item = "$|" + table + ";" + argument_text(in.text()) + "|";
        break;
      }
      case TemplateOp::general: item = "${" + argument_text(in.text()) + "}"; break;
      case TemplateOp::call_out: item = call_out_text(in); break;
      case TemplateOp::url: item = "$]" + argument_text(in.text()) + "["; break;
      case TemplateOp::sequence: item = sequence_text(in); break;
      case TemplateOp::attribute: {
        const std::string domain = argument_text(in.text());
        item = "$}" + domain + "," + argument_text(in.text()) + "{";
        break;
      }
      default: return out + kCutOff;
    }
    if (!in.good()) return out + kCutOff;
    out += item;
  }
  return out;
}

void list_entries(const Image& image, const std::function<void(const ListedEntry&)>& take) {
  for (const Image::Table& table : image.tables())
    for (const Image::Place place : image.places(table))
      if (const auto entry = image.entry(place))
        take({table.name, image.file(entry->file), entry->line, entry->pattern, entry->expansion});
}

}  // namespace postern::mapping
