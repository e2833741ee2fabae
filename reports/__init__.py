# SPDX-License-Identifier: Apache-2.0
"""From run records to verdicts and pages: reads files only."""
