# SPDX-License-Identifier: Apache-2.0
# libFuzzer harnesses, one for each parser of foreign bytes; built with ./configure --enable-fuzzing.
# NAME_fuzz.cc has its seeds in corpus/NAME/ and, where words matter, a dictionary NAME.dict. tests/fuzz/run_all runs them.
FUZZ_TARGETS =
EXTRA_DIST += tests/fuzz/run_all tests/fuzz/corpus tests/fuzz/pop3.dict tests/fuzz/managesieve.dict
# mail/ and sieve/
EXTRA_DIST += tests/fuzz/sieve.dict tests/fuzz/message.dict tests/fuzz/address.dict
EXTRA_DIST += tests/fuzz/smtp_session.dict tests/fuzz/directory_dump.dict tests/fuzz/sasl.dict
EXTRA_DIST += tests/fuzz/configuration.dict tests/fuzz/address_list.dict
EXTRA_DIST += tests/fuzz/mapping_source.dict
EXTRA_DIST += tests/fuzz/proxy_header.dict tests/fuzz/mta_sts.dict tests/fuzz/spf_record.dict tests/fuzz/dkim.dict
EXTRA_DIST += tests/fuzz/sieve_test.dict tests/fuzz/sieve_template.dict
if FUZZING

# A new target goes here:
#   FUZZ_TARGETS += tests/fuzz/NAME_fuzz
#   tests_fuzz_NAME_fuzz_SOURCES = tests/fuzz/NAME_fuzz.cc
#   tests_fuzz_NAME_fuzz_LDADD = libpostern_….a libpostern_base.a
#   tests_fuzz_NAME_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/conversions_fuzz
tests_fuzz_conversions_fuzz_SOURCES = tests/fuzz/conversions_fuzz.cc
tests_fuzz_conversions_fuzz_LDADD = libpostern_conversion.a libpostern_sieve.a libpostern_conf.a libpostern_mail.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(ICU_LIBS)
tests_fuzz_conversions_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/directory_record_fuzz
tests_fuzz_directory_record_fuzz_SOURCES = tests/fuzz/directory_record_fuzz.cc
tests_fuzz_directory_record_fuzz_LDADD = libpostern_directory.a libpostern_net.a libpostern_base.a $(ICU_LIBS) $(CRYPT_LIBS)
tests_fuzz_directory_record_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/directory_dump_fuzz
tests_fuzz_directory_dump_fuzz_SOURCES = tests/fuzz/directory_dump_fuzz.cc
tests_fuzz_directory_dump_fuzz_LDADD = libpostern_directory.a libpostern_keyfile.a libpostern_net.a libpostern_base.a $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS)
tests_fuzz_directory_dump_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/dkim_fuzz
tests_fuzz_dkim_fuzz_SOURCES = tests/fuzz/dkim_fuzz.cc
tests_fuzz_dkim_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_dkim_fuzz_LDADD = libpostern_authentication.a libpostern_mail.a libpostern_net.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_dkim_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_dkim_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/spf_record_fuzz
tests_fuzz_spf_record_fuzz_SOURCES = tests/fuzz/spf_record_fuzz.cc
tests_fuzz_spf_record_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_spf_record_fuzz_LDADD = libpostern_authentication.a libpostern_mail.a libpostern_net.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_spf_record_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_spf_record_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/dmarc_fuzz
tests_fuzz_dmarc_fuzz_SOURCES = tests/fuzz/dmarc_fuzz.cc
tests_fuzz_dmarc_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_dmarc_fuzz_LDADD = libpostern_authentication.a libpostern_mail.a libpostern_net.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_dmarc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_dmarc_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/arc_fuzz
tests_fuzz_arc_fuzz_SOURCES = tests/fuzz/arc_fuzz.cc
tests_fuzz_arc_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_arc_fuzz_LDADD = libpostern_authentication.a libpostern_mail.a libpostern_net.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_arc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_arc_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/ldap_record_fuzz
tests_fuzz_ldap_record_fuzz_SOURCES = tests/fuzz/ldap_record_fuzz.cc
tests_fuzz_ldap_record_fuzz_LDADD = libpostern_directory.a libpostern_net.a libpostern_base.a $(ICU_LIBS) $(CRYPT_LIBS)
tests_fuzz_ldap_record_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/mailbox_files_fuzz
tests_fuzz_mailbox_files_fuzz_SOURCES = tests/fuzz/mailbox_files_fuzz.cc
tests_fuzz_mailbox_files_fuzz_LDADD = libpostern_store.a libpostern_base.a
tests_fuzz_mailbox_files_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/sasl_fuzz
tests_fuzz_sasl_fuzz_SOURCES = tests/fuzz/sasl_fuzz.cc
tests_fuzz_sasl_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_sasl_fuzz_LDADD = libpostern_directory.a libpostern_net.a libpostern_base.a $(ICU_LIBS) $(CRYPT_LIBS)
tests_fuzz_sasl_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_sasl_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/token_fuzz
tests_fuzz_token_fuzz_SOURCES = tests/fuzz/token_fuzz.cc
tests_fuzz_token_fuzz_LDADD = libpostern_directory.a libpostern_net.a libpostern_base.a $(ICU_LIBS) $(CRYPT_LIBS) $(BOOST_JSON_LIBS)
tests_fuzz_token_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/site_daemon_fuzz
tests_fuzz_site_daemon_fuzz_SOURCES = tests/fuzz/site_daemon_fuzz.cc
tests_fuzz_site_daemon_fuzz_LDADD = libpostern_policy.a libpostern_authentication.a libpostern_net.a libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_site_daemon_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/resolver_protocol_fuzz
tests_fuzz_resolver_protocol_fuzz_SOURCES = tests/fuzz/resolver_protocol_fuzz.cc
tests_fuzz_resolver_protocol_fuzz_LDADD = libpostern_net.a libpostern_base.a $(BOOST_JSON_LIBS)
tests_fuzz_resolver_protocol_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/mta_sts_fuzz
tests_fuzz_mta_sts_fuzz_SOURCES = tests/fuzz/mta_sts_fuzz.cc
tests_fuzz_mta_sts_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_mta_sts_fuzz_LDADD = libpostern_relay.a libpostern_mail.a libpostern_conf.a libpostern_net.a libpostern_base.a $(OPENSSL_LIBS) $(ICU_LIBS) $(BOOST_JSON_LIBS)
tests_fuzz_mta_sts_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_mta_sts_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/server_name_fuzz
tests_fuzz_server_name_fuzz_SOURCES = tests/fuzz/server_name_fuzz.cc
tests_fuzz_server_name_fuzz_LDADD = libpostern_net.a libpostern_base.a
tests_fuzz_server_name_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/pop3_fuzz
tests_fuzz_pop3_fuzz_SOURCES = tests/fuzz/pop3_fuzz.cc tests/fuzz/pieces.h
tests_fuzz_pop3_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/net
tests_fuzz_pop3_fuzz_LDADD = libpostern_pop3.a libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_store.a libpostern_directory.a \
  libpostern_keyfile.a libpostern_conf.a libpostern_net.a libpostern_mail.a libpostern_base.a $(DB_LIBS) $(ICU_LIBS) $(LIBCONFIG_LIBS) $(CRYPT_LIBS)
tests_fuzz_pop3_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/managesieve_fuzz
tests_fuzz_managesieve_fuzz_SOURCES = tests/fuzz/managesieve_fuzz.cc tests/fuzz/pieces.h
tests_fuzz_managesieve_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/net
tests_fuzz_managesieve_fuzz_LDADD = libpostern_managesieve.a libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_directory.a \
  libpostern_keyfile.a libpostern_conf.a libpostern_net.a libpostern_sieve.a libpostern_mail.a libpostern_base.a $(DB_LIBS) $(ICU_LIBS) $(LIBCONFIG_LIBS) $(CRYPT_LIBS)
tests_fuzz_managesieve_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/submission_header_fuzz
tests_fuzz_submission_header_fuzz_SOURCES = tests/fuzz/submission_header_fuzz.cc
tests_fuzz_submission_header_fuzz_LDADD = libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_submission_header_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/address_fuzz
tests_fuzz_address_fuzz_SOURCES = tests/fuzz/address_fuzz.cc
tests_fuzz_address_fuzz_LDADD = libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_address_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/envelope_fuzz
tests_fuzz_envelope_fuzz_SOURCES = tests/fuzz/envelope_fuzz.cc
tests_fuzz_envelope_fuzz_LDADD = libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_envelope_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/partial_fuzz
tests_fuzz_partial_fuzz_SOURCES = tests/fuzz/partial_fuzz.cc
tests_fuzz_partial_fuzz_LDADD = libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_partial_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/message_fuzz
tests_fuzz_message_fuzz_SOURCES = tests/fuzz/message_fuzz.cc
tests_fuzz_message_fuzz_LDADD = libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_message_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/sieve_fuzz
tests_fuzz_sieve_fuzz_SOURCES = tests/fuzz/sieve_fuzz.cc tests/fuzz/sieve_fuzz_host.h
tests_fuzz_sieve_fuzz_LDADD = libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_sieve_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/sieve_program_fuzz
tests_fuzz_sieve_program_fuzz_SOURCES = tests/fuzz/sieve_program_fuzz.cc tests/fuzz/sieve_fuzz_host.h
tests_fuzz_sieve_program_fuzz_LDADD = libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_sieve_program_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/sieve_message_fuzz
tests_fuzz_sieve_message_fuzz_SOURCES = tests/fuzz/sieve_message_fuzz.cc tests/fuzz/sieve_fuzz_host.h
tests_fuzz_sieve_message_fuzz_LDADD = libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_sieve_message_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/smtp_session_fuzz tests/fuzz/smtp_text_fuzz
tests_fuzz_smtp_session_fuzz_SOURCES = tests/fuzz/smtp_session_fuzz.cc tests/unit/policy/fixtures.cc tests/unit/policy/fixtures.h \
  tests/unit/net/recording_watch.h tests/unit/smtp/memory_services.h tests/unit/milter/scripted_milter.h
tests_fuzz_smtp_session_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/policy -I$(top_srcdir)/tests/unit/net -I$(top_srcdir)/tests/unit/milter
tests_fuzz_smtp_session_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_smtp_session_fuzz_LDADD = libpostern_smtp.a libpostern_milter.a libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_directory.a libpostern_keyfile.a libpostern_conf.a \
  libpostern_mail.a libpostern_net.a libpostern_base.a $(BOOST_JSON_LIBS) $(LIBCONFIG_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS)
tests_fuzz_smtp_session_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_smtp_session_fuzz_OBJECTS): $(ASIO_PCH)
tests_fuzz_smtp_text_fuzz_SOURCES = tests/fuzz/smtp_text_fuzz.cc
tests_fuzz_smtp_text_fuzz_LDADD = libpostern_smtp.a libpostern_net.a libpostern_base.a
tests_fuzz_smtp_text_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/milter_fuzz
tests_fuzz_milter_fuzz_SOURCES = tests/fuzz/milter_fuzz.cc tests/unit/milter/small_message.h
tests_fuzz_milter_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_milter_fuzz_LDADD = libpostern_milter.a libpostern_conf.a libpostern_mail.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(ICU_LIBS)
tests_fuzz_milter_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_milter_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/relay_client_fuzz
tests_fuzz_relay_client_fuzz_SOURCES = tests/fuzz/relay_client_fuzz.cc
tests_fuzz_relay_client_fuzz_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_fuzz_relay_client_fuzz_LDADD = libpostern_relay.a libpostern_spool.a libpostern_mail.a libpostern_net.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_relay_client_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
$(tests_fuzz_relay_client_fuzz_OBJECTS): $(ASIO_PCH)

FUZZ_TARGETS += tests/fuzz/configuration_fuzz tests/fuzz/address_list_fuzz
tests_fuzz_configuration_fuzz_SOURCES = tests/fuzz/configuration_fuzz.cc
tests_fuzz_configuration_fuzz_LDADD = libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS)
tests_fuzz_configuration_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
tests_fuzz_address_list_fuzz_SOURCES = tests/fuzz/address_list_fuzz.cc
tests_fuzz_address_list_fuzz_LDADD = libpostern_net.a libpostern_base.a
tests_fuzz_address_list_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/proxy_header_fuzz
tests_fuzz_proxy_header_fuzz_SOURCES = tests/fuzz/proxy_header_fuzz.cc
tests_fuzz_proxy_header_fuzz_LDADD = libpostern_net.a libpostern_base.a
tests_fuzz_proxy_header_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/mapping_source_fuzz
tests_fuzz_mapping_source_fuzz_SOURCES = tests/fuzz/mapping_source_fuzz.cc
tests_fuzz_mapping_source_fuzz_LDADD = libpostern_mapping.a libpostern_keyfile.a libpostern_base.a $(DB_LIBS)
tests_fuzz_mapping_source_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/tables_file_fuzz
tests_fuzz_tables_file_fuzz_SOURCES = tests/fuzz/tables_file_fuzz.cc
tests_fuzz_tables_file_fuzz_LDADD = libpostern_keyfile.a libpostern_base.a $(DB_LIBS)
tests_fuzz_tables_file_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/tables_image_fuzz
tests_fuzz_tables_image_fuzz_SOURCES = tests/fuzz/tables_image_fuzz.cc
tests_fuzz_tables_image_fuzz_LDADD = libpostern_mapping.a libpostern_keyfile.a libpostern_base.a $(DB_LIBS)
tests_fuzz_tables_image_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
FUZZ_TARGETS += tests/fuzz/journal_segment_fuzz tests/fuzz/journal_marks_fuzz
tests_fuzz_journal_segment_fuzz_SOURCES = tests/fuzz/journal_segment_fuzz.cc
tests_fuzz_journal_segment_fuzz_LDADD = libpostern_spool.a libpostern_mail.a libpostern_base.a
tests_fuzz_journal_segment_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
tests_fuzz_journal_marks_fuzz_SOURCES = tests/fuzz/journal_marks_fuzz.cc
tests_fuzz_journal_marks_fuzz_LDADD = libpostern_spool.a libpostern_base.a
tests_fuzz_journal_marks_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/probe_file_fuzz
tests_fuzz_probe_file_fuzz_SOURCES = tests/fuzz/probe_file_fuzz.cc
tests_fuzz_probe_file_fuzz_LDADD = libpostern_rehearsal.a libpostern_mapping.a libpostern_keyfile.a libpostern_base.a $(DB_LIBS)
tests_fuzz_probe_file_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/snmp_fuzz
tests_fuzz_snmp_fuzz_SOURCES = tests/fuzz/snmp_fuzz.cc tests/unit/snmp/sample.h
tests_fuzz_snmp_fuzz_LDADD = libpostern_snmp.a libpostern_gate.a libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS)
tests_fuzz_snmp_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

FUZZ_TARGETS += tests/fuzz/sieve_test_fuzz tests/fuzz/sieve_template_fuzz
tests_fuzz_sieve_test_fuzz_SOURCES = tests/fuzz/sieve_test_fuzz.cc
tests_fuzz_sieve_test_fuzz_LDADD = libpostern_sieve_test.a libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_sieve_test_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)
tests_fuzz_sieve_template_fuzz_SOURCES = tests/fuzz/sieve_template_fuzz.cc
tests_fuzz_sieve_template_fuzz_LDADD = libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS)
tests_fuzz_sieve_template_fuzz_LDFLAGS = $(AM_LDFLAGS) $(POSTERN_FUZZ_LINK)

# Keep this last: programs above are built by a plain `make`.
noinst_PROGRAMS += $(FUZZ_TARGETS)
endif FUZZING
