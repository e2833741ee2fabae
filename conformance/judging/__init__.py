# SPDX-License-Identifier: Apache-2.0
"""The judges: from what was seen on a server to one judgement for each requirement."""
