# SPDX-License-Identifier: Apache-2.0
"""A tenant cache behind HTTP, and the adapter through which the suite judges it."""
