# SPDX-License-Identifier: Apache-2.0
"""Demand: how often each item of a tenant was asked for, hour by hour."""
