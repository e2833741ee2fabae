# SPDX-License-Identifier: Apache-2.0
"""The requirement registry, the judges, the conformance tests and the command line."""

DISTRIBUTION = "kryonix-cache-conformance"
"""The name under which the suite is installed, and which records carry."""
