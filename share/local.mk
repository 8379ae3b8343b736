# SPDX-License-Identifier: Apache-2.0
# Our own MIB module, for management stations (postern-snmp(8)).
mibsdir = $(pkgdatadir)/mibs
dist_mibs_DATA = share/postern/mibs/POSTERN-MIB.txt
