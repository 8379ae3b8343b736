// SPDX-License-Identifier: Apache-2.0
#include "sieve/extensions.h"

namespace postern::sieve {

const std::vector<const Extension*>& extensions() {
  static const std::vector<const Extension*> table = {
      &base_actions(),
      &base_tests(),
      &body_extension(),
      &comparator_ascii_casemap(),
      &comparator_ascii_numeric(),
      &comparator_octet(),
      &copy_extension(),
      &encoded_character_extension(),
      &envelope_extension(),
      &fileinto_extension(),
      &imap4flags_extension(),
      &mailbox_extension(),
      &relational_extension(),
      &subaddress_extension(),
      &variables_extension(),
      &postern_addheader_extension(),
      &addprefix_extension(),
      &addtag_extension(),
      &jettison_extension(),
  };
  return table;
}

}  // namespace postern::sieve
