# SPDX-License-Identifier: Apache-2.0
"""Load: scenarios, schedule, recorder and gate; an extra that needs Locust."""
