# SPDX-License-Identifier: Apache-2.0
"""Accidents on the way to the server, and what may be answered around them."""
