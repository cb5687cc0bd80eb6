# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: a running multios topology of virtual machines. README.md says what each file owns."""
