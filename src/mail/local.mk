# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_mail.a
libpostern_mail_a_SOURCES =
