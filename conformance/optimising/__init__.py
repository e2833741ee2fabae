# SPDX-License-Identifier: Apache-2.0
"""What the judgement of optimisers stands on: made tenants, clocks, replays."""
