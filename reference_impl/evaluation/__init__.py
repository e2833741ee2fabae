# SPDX-License-Identifier: Apache-2.0
"""Evaluation of predictors on replayed demand, in a simulator and on a real server."""
