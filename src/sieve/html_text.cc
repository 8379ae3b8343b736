// SPDX-License-Identifier: Apache-2.0
#include "sieve/html_text.h"

#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace postern::sieve {

namespace {

constexpr std::uint32_t kNoBreakSpace = 160;

// HTML 4.01 section 24: the characters from 160 to 255, in their order; the others by name, and XML's "apos".
constexpr std::array<std::string_view, 96> kLatin1 = {
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not", "shy", "reg", "macr", "deg", "plusmn",
    "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute",
    "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde",
    "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave",
    "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth",
    "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml"};

struct Entity {
  std::string_view name;
  std::uint32_t code = 0;
};
constexpr std::array<Entity, 157> kEntities = {{
    {"Alpha", 913}, {"Beta", 914}, {"Chi", 935}, {"Dagger", 8225}, {"Delta", 916}, {"Epsilon", 917}, {"Eta", 919}, {"Gamma", 915}, {"Iota", 921},
    {"Kappa", 922}, {"Lambda", 923}, {"Mu", 924}, {"Nu", 925}, {"OElig", 338}, {"Omega", 937}, {"Omicron", 927}, {"Phi", 934}, {"Pi", 928},
    {"Prime", 8243}, {"Psi", 936}, {"Rho", 929}, {"Scaron", 352}, {"Sigma", 931}, {"Tau", 932}, {"Theta", 920}, {"Upsilon", 933}, {"Xi", 926},
    {"Yuml", 376}, {"Zeta", 918}, {"alefsym", 8501}, {"alpha", 945}, {"amp", 38}, {"and", 8743}, {"ang", 8736}, {"apos", 39}, {"asymp", 8776},
    {"bdquo", 8222}, {"beta", 946}, {"bull", 8226}, {"cap", 8745}, {"chi", 967}, {"circ", 710}, {"clubs", 9827}, {"cong", 8773}, {"crarr", 8629},
    {"cup", 8746}, {"dArr", 8659}, {"dagger", 8224}, {"darr", 8595}, {"delta", 948}, {"diams", 9830}, {"empty", 8709}, {"emsp", 8195}, {"ensp", 8194},
    {"epsilon", 949}, {"equiv", 8801}, {"eta", 951}, {"euro", 8364}, {"exist", 8707}, {"fnof", 402}, {"forall", 8704}, {"frasl", 8260},
    {"gamma", 947}, {"ge", 8805}, {"gt", 62}, {"hArr", 8660}, {"harr", 8596}, {"hearts", 9829}, {"hellip", 8230}, {"image", 8465}, {"infin", 8734},
    {"int", 8747}, {"iota", 953}, {"isin", 8712}, {"kappa", 954}, {"lArr", 8656}, {"lambda", 955}, {"lang", 9001}, {"larr", 8592}, {"lceil", 8968},
    {"ldquo", 8220}, {"le", 8804}, {"lfloor", 8970}, {"lowast", 8727}, {"loz", 9674}, {"lrm", 8206}, {"lsaquo", 8249}, {"lsquo", 8216}, {"lt", 60},
    {"mdash", 8212}, {"minus", 8722}, {"mu", 956}, {"nabla", 8711}, {"ndash", 8211}, {"ne", 8800}, {"ni", 8715}, {"notin", 8713}, {"nsub", 8836},
    {"nu", 957}, {"oelig", 339}, {"oline", 8254}, {"omega", 969}, {"omicron", 959}, {"oplus", 8853}, {"or", 8744}, {"otimes", 8855}, {"part", 8706},
    {"permil", 8240}, {"perp", 8869}, {"phi", 966}, {"pi", 960}, {"piv", 982}, {"prime", 8242}, {"prod", 8719}, {"prop", 8733}, {"psi", 968},
    {"quot", 34}, {"rArr", 8658}, {"radic", 8730}, {"rang", 9002}, {"rarr", 8594}, {"rceil", 8969}, {"rdquo", 8221}, {"real", 8476}, {"rfloor", 8971},
    {"rho", 961}, {"rlm", 8207}, {"rsaquo", 8250}, {"rsquo", 8217}, {"sbquo", 8218}, {"scaron", 353}, {"sdot", 8901}, {"sigma", 963}, {"sigmaf", 962},
    {"sim", 8764}, {"spades", 9824}, {"sub", 8834}, {"sube", 8838}, {"sum", 8721}, {"sup", 8835}, {"supe", 8839}, {"tau", 964}, {"there4", 8756},
    {"theta", 952}, {"thetasym", 977}, {"thinsp", 8201}, {"tilde", 732}, {"trade", 8482}, {"uArr", 8657}, {"uarr", 8593}, {"upsih", 978},
    {"upsilon", 965}, {"weierp", 8472}, {"xi", 958}, {"zeta", 950}, {"zwj", 8205}, {"zwnj", 8204}}};

std::optional<std::uint32_t> named_character(std::string_view name) {
  if (const auto found = std::find(kLatin1.begin(), kLatin1.end(), name); found != kLatin1.end()) return 160 + static_cast<std::uint32_t>(found - kLatin1.begin());
  const auto found = std::lower_bound(kEntities.begin(), kEntities.end(), name, [](const Entity& entity, std::string_view wanted) { return entity.name < wanted; });
  if (found == kEntities.end() || found->name != name) return std::nullopt;
  return found->code;
}

// "&name;" or "&#number;" at the start of `text`; how many bytes it takes, 0 if it is none.
std::size_t entity(std::string_view text, std::string& out) {
  constexpr std::size_t kLongest = 12;
  const auto end = text.substr(0, kLongest).find(';');
  if (end == std::string_view::npos) return 0;
  const std::string_view name = text.substr(1, end - 1);
  if (name.size() >= 2 && name[0] == '#') {
    const bool hex = base::ascii_lower(name[1]) == 'x';
    std::uint32_t code = 0;
    const std::string_view digits = name.substr(hex ? 2 : 1);
    if (digits.empty() || digits.size() > 8) return 0;
    for (const char c : digits) {
      const char l = base::ascii_lower(c);
      if (base::is_digit(c)) code = code * (hex ? 16 : 10) + static_cast<std::uint32_t>(c - '0');
      else if (hex && l >= 'a' && l <= 'f') code = code * 16 + static_cast<std::uint32_t>(l - 'a' + 10);
      else return 0;
    }
    const bool exists = code != 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    base::append_utf8(out, exists ? code : 0xfffd);
    return end + 1;
  }
  const auto code = named_character(name);
  if (!code) return 0;
  // Where a line may be broken is nothing that a search should see.
  if (*code == kNoBreakSpace) out += ' ';
  else base::append_utf8(out, *code);
  return end + 1;
}

// The name of the tag at `at`, "/" in front of a closing one's.
std::string tag_name(std::string_view html, std::size_t at) {
  std::string name;
  for (std::size_t i = at + 1; i < html.size() && name.size() < 12; ++i) {
    const char c = base::ascii_lower(html[i]);
    if (!base::is_alpha(c) && !base::is_digit(c) && !(c == '/' && name.empty())) break;
    name += c;
  }
  return name;
}

// Behind the '>' that ends the tag at `at`; a '>' in quotes does not end it.
std::size_t behind_tag(std::string_view html, std::size_t at) {
  char quote = '\0';
  for (std::size_t i = at + 1; i < html.size(); ++i) {
    if (quote != '\0') {
      if (html[i] == quote) quote = '\0';
    } else if (html[i] == '>') {
      return i + 1;
    } else if ((html[i] == '"' || html[i] == '\'') && html[i - 1] == '=') {
      quote = html[i];
    }
  }
  return html.size();
}

}  // namespace

std::string html_text(std::string_view html) {
  constexpr std::array<std::string_view, 14> kInline = {"b", "i", "u", "em", "strong", "span", "font", "a", "small", "big", "sub", "sup", "tt", "code"};
  std::string out;
  out.reserve(html.size() / 2);
  for (std::size_t at = 0; at < html.size();) {
    if (html[at] == '&') {
      if (const std::size_t taken = entity(html.substr(at), out); taken > 0) {
        at += taken;
        continue;
      }
    } else if (html[at] == '<') {
      if (html.substr(at).starts_with("<!--")) {
        const auto end = html.find("-->", at + 4);
        at = end == std::string_view::npos ? html.size() : end + 3;
        continue;
      }
      const std::string name = tag_name(html, at);
      if (!name.empty() || html.substr(at).starts_with("<!") || html.substr(at).starts_with("<?")) {
        at = behind_tag(html, at);
        if (name == "script" || name == "style") {
          // To the closing tag of the same name; what looks like markup in between is none.
          for (; at < html.size(); ++at) {
            at = std::min(html.find("</", at), html.size());
            if (at < html.size() && tag_name(html, at) == "/" + name) break;
          }
          continue;
        }
        const std::string_view bare = std::string_view(name).substr(name.starts_with("/") ? 1 : 0);
        if (std::find(kInline.begin(), kInline.end(), bare) == kInline.end() && !out.empty() && out.back() != ' ' && out.back() != '\n') out += ' ';
        continue;
      }
    }
    out += html[at++];
  }
  return out;
}

}  // namespace postern::sieve
