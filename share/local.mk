# SPDX-License-Identifier: Apache-2.0
# Our own MIB module, for management stations (postern-snmp(8)).
mibsdir = $(pkgdatadir)/mibs
dist_mibs_DATA = share/postern/mibs/POSTERN-MIB.txt

# What Postern reads of an LDAP directory, for OpenLDAP (doc/guide/accounts-from-ldap.md).
ldapschemadir = $(pkgdatadir)/ldap
dist_ldapschema_DATA = share/postern/ldap/postern.ldif share/postern/ldap/postern.schema

# Filter templates (access-control.md 6.5); each is checked by tests/unit/sieve.
templatesdir = $(pkgdatadir)/templates
dist_templates_DATA = \
  share/postern/templates/discard-large.template \
  share/postern/templates/forward-copy.template \
  share/postern/templates/from-folder.template \
  share/postern/templates/list-folder.template \
  share/postern/templates/mark-sender.template \
  share/postern/templates/newsletters.template \
  share/postern/templates/reject-sender.template \
  share/postern/templates/spam-folder.template \
  share/postern/templates/subject-folder.template \
  share/postern/templates/vacation.template

# Texts of notices to senders (posternctl-queue(8)); tests/unit/mail reads each, and compares the English ones with the program's own.
notices_endir = $(pkgdatadir)/notices/en
dist_notices_en_DATA = share/postern/notices/en/delay share/postern/notices/en/failure share/postern/notices/en/success
notices_dedir = $(pkgdatadir)/notices/de
dist_notices_de_DATA = share/postern/notices/de/delay share/postern/notices/de/failure share/postern/notices/de/success

# Programs for the conversion channel (conversions(5)).
programsdir = $(libexecdir)/postern
dist_programs_SCRIPTS = share/postern/programs/scan
