# SPDX-License-Identifier: Apache-2.0
"""The optimiser: one pass over the keyspace, an analysis of each tenant, bounded changes."""
