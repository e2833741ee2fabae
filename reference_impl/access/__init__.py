# SPDX-License-Identifier: Apache-2.0
"""A user of its own on the server for each tenant, derived from the contract (ACL)."""
