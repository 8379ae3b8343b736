# SPDX-License-Identifier: Apache-2.0
# What postern-compile and posternctl do alike.
noinst_LIBRARIES += libpostern_compilation.a
libpostern_compilation_a_SOURCES = src/tools/compile_site.h src/tools/compile_site.cc \
  src/tools/generations.h src/tools/generations.cc src/tools/progress.h src/tools/replay_report.h src/tools/replay_report.cc

sbin_PROGRAMS += posternctl
posternctl_SOURCES = src/tools/posternctl.h src/tools/posternctl.cc src/tools/ctl_ask.h src/tools/ctl_ask.cc src/tools/ctl_server.cc src/tools/ctl_gate.cc src/tools/ctl_accounts.cc \
  src/tools/client_settings.h src/tools/client_settings.cc \
  src/tools/ctl_certificate.cc src/tools/ctl_dkim.cc src/tools/ctl_folders.cc src/tools/ctl_address_books.cc src/tools/mailbox_access.h src/tools/mailbox_access.cc \
  src/tools/ctl_filter.cc src/tools/ctl_discarded.cc src/tools/ctl_queue.h src/tools/ctl_queue.cc src/tools/ctl_queue_messages.cc src/tools/ctl_tables.cc src/tools/ctl_throttle.cc \
  src/tools/options.h src/tools/options.cc src/tools/directory_access.h src/tools/directory_access.cc \
  src/tools/directory_answers.h src/tools/directory_answers.cc src/tools/account_attributes.h src/tools/account_attributes.cc \
  src/tools/ctl_aliases.cc src/tools/ctl_directory.cc src/tools/ctl_scripts.cc \
  src/tools/outside_answers.h src/tools/outside_answers.cc src/tools/server_resolver.h src/tools/server_resolver.cc \
  src/tools/tables_source.h src/tools/tables_source.cc src/tools/show_answer.h src/tools/show_answer.cc \
  src/tools/decision_report.h src/tools/decision_report.cc \
  src/tools/ctl_probe.cc src/tools/ctl_match.cc src/tools/ctl_access.cc src/tools/ctl_rewrite.cc src/tools/ctl_resolve.cc src/tools/ctl_tls_policy.cc
posternctl_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
posternctl_LDADD = libpostern_compilation.a libpostern_conversion.a libpostern_delivery.a libpostern_relay.a libpostern_queue.a libpostern_store.a libpostern_spool.a libpostern_policy.a libpostern_rehearsal.a libpostern_directory.a libpostern_authentication.a libpostern_mapping.a libpostern_keyfile.a libpostern_sieve.a libpostern_mail.a libpostern_conf.a \
  libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(BOOST_JSON_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS)
$(posternctl_OBJECTS): $(ASIO_PCH)

sbin_PROGRAMS += postern-sendmail
postern_sendmail_SOURCES = src/tools/postern-sendmail.cc src/tools/sendmail_message.h src/tools/sendmail_message.cc \
  src/tools/sendmail_submit.h src/tools/sendmail_submit.cc
# Objects of its own: those of the unit tests have the same sources.
postern_sendmail_CPPFLAGS = $(AM_CPPFLAGS)
postern_sendmail_LDADD = libpostern_mail.a libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(ICU_LIBS)

# The names that other programs know; configure --enable-sendmail-names.
if SENDMAIL_NAMES
install-exec-hook:
	$(MKDIR_P) $(DESTDIR)$(bindir)
	cd $(DESTDIR)$(sbindir) && rm -f sendmail && $(LN_S) postern-sendmail sendmail
	cd $(DESTDIR)$(bindir) && rm -f mailq newaliases && $(LN_S) $(sbindir)/postern-sendmail mailq && $(LN_S) $(sbindir)/postern-sendmail newaliases

uninstall-hook:
	rm -f $(DESTDIR)$(sbindir)/sendmail $(DESTDIR)$(bindir)/mailq $(DESTDIR)$(bindir)/newaliases
endif

bin_PROGRAMS += postern-sieve
postern_sieve_SOURCES = src/tools/postern-sieve.cc src/tools/sieve_tool.h src/tools/sieve_check.cc src/tools/sieve_run.cc src/tools/sieve_template.cc \
  src/tools/sieve_test.cc
postern_sieve_LDADD = libpostern_sieve_test.a libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS) $(BOOST_JSON_LIBS)

sbin_PROGRAMS += postern-compile
postern_compile_SOURCES = src/tools/postern-compile.cc
postern_compile_LDADD = libpostern_compilation.a libpostern_conversion.a libpostern_delivery.a libpostern_spool.a libpostern_store.a libpostern_rehearsal.a libpostern_policy.a libpostern_directory.a libpostern_mapping.a libpostern_keyfile.a \
  libpostern_sieve.a libpostern_mail.a libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(BOOST_JSON_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS)

sbin_PROGRAMS += posternd
posternd_SOURCES = src/posternd.cc
posternd_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
posternd_LDADD = libpostern_roles.a libpostern_conversion.a libpostern_resolver.a libpostern_smtp.a libpostern_milter.a libpostern_pop3.a libpostern_managesieve.a libpostern_snmp.a libpostern_delivery.a libpostern_relay.a libpostern_queue.a libpostern_master.a \
  libpostern_service.a \
  libpostern_gate.a libpostern_policy.a libpostern_rehearsal.a libpostern_directory.a libpostern_authentication.a libpostern_store.a libpostern_spool.a libpostern_sieve.a libpostern_mail.a \
  libpostern_mapping.a libpostern_keyfile.a libpostern_conf.a libpostern_net.a libpostern_base.a \
  $(LIBCONFIG_LIBS) $(BOOST_JSON_LIBS) $(CAPNG_LIBS) $(SECCOMP_LIBS) $(UNBOUND_LIBS) $(OPENSSL_LIBS) $(ICU_LIBS) $(DB_LIBS) $(CRYPT_LIBS)
$(posternd_OBJECTS): $(ASIO_PCH)
