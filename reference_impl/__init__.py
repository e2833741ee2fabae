# SPDX-License-Identifier: Apache-2.0
"""The contract and a reference implementation that keeps it."""
