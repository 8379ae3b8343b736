# SPDX-License-Identifier: Apache-2.0
dist_man_MANS += doc/man/posternctl-gate.8
EXTRA_DIST += doc/guide
dist_doc_DATA += doc/guide/limits.md doc/guide/from-postfix-access-maps.md doc/guide/accounts-and-submission.md doc/guide/accounts-from-ldap.md doc/guide/tls-to-other-hosts.md doc/guide/sender-authentication.md doc/guide/scanning-mail.md \
  doc/guide/filters-at-three-levels.md
dist_man_MANS += doc/man/posternctl-account.8 doc/man/posternctl-domain.8 doc/man/postern-pop3.8
dist_man_MANS += doc/man/postern-managesieve.8 doc/man/postern-submission.8 doc/man/postern-milter.8
dist_man_MANS += doc/man/posternctl-alias.8 doc/man/posternctl-group.8 doc/man/posternctl-directory.8 doc/man/postern-directory.5
dist_man_MANS += doc/man/posternctl-queue.8 doc/man/postern-sendmail.1 doc/man/posternctl-filter.8 doc/man/posternctl-discarded.8 doc/man/posternctl-probe.8 doc/man/posternctl-tables.8
dist_man_MANS += doc/man/postern.conf.5 doc/man/posternctl-dkim.8
dist_man_MANS += doc/man/postern-snmp.8
dist_man_MANS += doc/man/posternctl-certificate.8 doc/man/posternctl-folder.8 doc/man/posternctl-addressbook.8
dist_man_MANS += doc/man/postern-channels.5 doc/man/postern-smtp.8 doc/man/postern-relay.8
dist_man_MANS += doc/man/sieve.5 doc/man/postern-sieve.1
dist_man_MANS += doc/man/conversions.5 doc/man/mappings.5 doc/man/postern-compile.8 doc/man/postern-aliases.5
dist_man_MANS += doc/man/posternd.8 doc/man/posternctl.8 doc/man/postern-log.7
