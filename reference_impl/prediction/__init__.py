# SPDX-License-Identifier: Apache-2.0
"""Prediction of the next hour's demand, back-tested and explained."""
